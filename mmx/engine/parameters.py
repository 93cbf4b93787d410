"""Which parameters a stage trains, and at which share of their group's rate."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from torch import nn

from mmx.core.errors import UsageError
from mmx.core.method import ParameterGroup, Stage


@dataclass(frozen=True)
class TrainedGroup:
    """A group of a stage with its parameters by name, and the share of the group's rate that each one has."""

    group: ParameterGroup
    parameters: Mapping[str, nn.Parameter]
    shares: Mapping[str, float]


def fixed_names(model: nn.Module) -> frozenset[str]:
    """Parameters that the model itself never trains, whatever a stage says."""
    return frozenset(name for name, parameter in model.named_parameters() if not parameter.requires_grad)


def find_groups(model: nn.Module, stage: Stage, fixed: Set[str] = frozenset()) -> list[TrainedGroup]:
    """The parameters of each group of a stage, less the fixed ones; the first group that fits one has it.

    Raises:
        ValueError: when a prefix fits no parameter, or a group is left with none.
        UsageError: when more last blocks are asked for than there are.
    """
    every = dict(model.named_parameters())
    free = {name: parameter for name, parameter in every.items() if name not in fixed}
    found = []
    for group in stage.groups:
        where = f"stage '{stage.name}', group '{group.name}'"
        for prefix in group.prefixes:
            if not any(name.startswith(prefix) for name in every):
                roots = ", ".join(sorted({name.split(".")[0] for name in every}))
                raise ValueError(f"{where}: no parameter begins with '{prefix}'. The model has: {roots}.")
        shares = {name: share for name, share in _shares(model, group, every) if name in free}
        if not shares:
            raise ValueError(f"{where}: its parameters are fixed, or earlier groups have them.")
        found.append(TrainedGroup(group, {name: free.pop(name) for name in shares}, shares))
    return found


def freeze_others(model: nn.Module, trained: Sequence[TrainedGroup]) -> None:
    """Let gradients reach the trained parameters only; a part that trains nothing runs as at evaluation."""
    names = {name for group in trained for name in group.parameters}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)
    model.train()
    for module in model.modules():
        own = list(module.parameters())
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()


def _shares(
    model: nn.Module, group: ParameterGroup, every: Mapping[str, nn.Parameter]
) -> Iterator[tuple[str, float]]:
    """Names of the group's parameters in the model's order, each with its share of the rate."""
    by_block = group.last_blocks is not None or group.layer_decay != 1.0
    shares: dict[str, float] = {}
    for prefix in group.prefixes if by_block else ():
        shares.update(_shares_by_block(model, prefix.rstrip("."), group))
    for name in every:
        if by_block and name in shares:
            yield name, shares[name]
        elif not by_block and name.startswith(group.prefixes):
            yield name, 1.0


def _shares_by_block(model: nn.Module, prefix: str, group: ParameterGroup) -> Iterator[tuple[str, float]]:
    """The last blocks of the module that the prefix names, each at `layer_decay` of the next one's rate."""
    module = model.get_submodule(prefix)
    if not hasattr(module, "blocks"):
        raise ValueError(f"group '{group.name}': '{prefix}' has no blocks to count.")
    blocks = module.blocks()
    if group.last_blocks is not None and group.last_blocks > len(blocks):
        raise UsageError(f"{group.last_blocks} blocks of '{prefix}' were asked for; it has {len(blocks)}.")
    kept = blocks if group.last_blocks is None else blocks[len(blocks) - group.last_blocks :]
    for name, _ in module.named_parameters():
        for depth, block in enumerate(reversed(kept)):
            if any(name == part or name.startswith(part.rstrip(".") + ".") for part in block):
                yield f"{prefix}.{name}", group.layer_decay**depth
                break
