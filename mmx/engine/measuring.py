"""Statistics of a batch that is cut in pieces, for parts of a model that take them in and then use them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from mmx.engine.processes import Processes
from mmx.engine.rows import Rows, gather_rows, join_rows


@runtime_checkable
class Measuring(Protocol):
    """A module that in training takes in statistics of what it is given, through which no gradient goes."""

    training: bool

    def measure(self, features: Tensor) -> Mapping[str, Tensor]:
        """What it is given of a piece -> rows, one a piece, that tell its statistics."""

    def take_in(self, rows: Mapping[str, Tensor]) -> None:
        """The rows of all pieces of a batch -> its statistics take in the batch."""

    def train(self, mode: bool = True) -> Any:
        """As every module."""


@contextmanager
def measured(
    model: nn.Module, read_all: Callable[[], Iterable[None]], processes: Processes, device: torch.device
) -> Iterator[None]:
    """Take in a whole batch, and hold the statistics still while its pieces are computed.

    `read_all` passes the pieces of this process through the model, and stops after each.
    """
    modules = [module for module in model.modules() if isinstance(module, Measuring) and module.training]
    if not modules:
        yield
        return
    for module in modules:
        module.train(False)
    try:
        whole, _ = gather_rows(join_rows(list(_listen(modules, read_all))), processes, device)
        for place, module in enumerate(modules):
            own = {name.partition(".")[2]: rows for name, rows in whole.items() if _place(name) == place}
            if own:
                module.take_in(own)
        yield
    finally:
        for module in modules:
            module.train()


def _listen(modules: list[nn.Module], read_all: Callable[[], Iterable[None]]) -> Iterator[Rows]:
    """What the modules measure of each piece, by their place before the name; all calls of one are rows."""
    told: list[Rows] = []

    def listener(place: int) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def listen(module: nn.Module, given: tuple[Any, ...]) -> None:
            told.append({f"{place}.{name}": rows for name, rows in module.measure(*given).items()})

        return listen

    with ExitStack() as hooks, torch.no_grad():
        for place, module in enumerate(modules):
            hooks.callback(module.register_forward_pre_hook(listener(place)).remove)
        for _ in read_all():
            names = {name for rows in told for name in rows}
            yield {name: torch.cat([rows[name] for rows in told if name in rows]) for name in sorted(names)}
            told.clear()


def _place(name: str) -> int:
    return int(name.partition(".")[0])
