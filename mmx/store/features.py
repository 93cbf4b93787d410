"""FeatureStore: what one frozen encoder says of one split of a corpus, memory-mapped.

Shapes: B images, C captions, P patches, R regions, L tokens, F width, D width of a shared space. Row i is
record i of the manifest's split.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from mmx.core.errors import ArtifactError
from mmx.store.buffers import Buffers
from mmx.store.shard import MIRRORED, Shard, ShardHeader, shard_paths

LONG_ROW = 8192
"""Numbers a row from which rows are copied one by one."""
ALONE = 32767
"""Numbers that torch copies without calling its other threads, where it has any: they have a training step to
compute.
"""


class FeatureStore:
    """All shards of one encoder over one split."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        """Take shards that `open` has checked."""
        self._shards = shards
        header = shards[0].header
        self._header = header
        self.encoder, self.modality, self.fingerprint = header.encoder, header.modality, header.fingerprint
        self.fields, self.width, self.rows = header.fields, header.width, header.total
        self.taken_in = bool(header.source)
        """Made elsewhere: the fingerprint is then not one of weights."""
        # files that do not say what was seen were made of square views
        self.grid_view = header.view if min(header.view) else (1, 1)
        self._buffers = Buffers()
        self._seen: dict[str, Tensor] = {}
        """[rows] of each field: read before, and found to be the numbers that were written."""
        self._starts = torch.tensor([0, *(shard.rows for shard in shards)]).cumsum(0)
        self.caption_offsets = torch.zeros(1, dtype=torch.int64)
        if self.modality == "text":
            counts = torch.cat([shard.read("caption_offsets").diff() for shard in shards])
            self.caption_offsets = torch.cat([self.caption_offsets, counts.cumsum(0)])

    @classmethod
    def open(cls, folder: Path, split: str, manifest_fingerprint: str) -> "FeatureStore":
        """The features of a split, all shards there and of one making.

        Raises:
            ArtifactError: when shards are absent or broken, or were made from another manifest or by another
            encoder.
        """
        paths = shard_paths(folder, split)
        if not paths:
            raise ArtifactError(
                f"there are no features of split '{split}' in '{folder}'. "
                f"Make them: mmx extract {folder.parent.name} --encoder NAME --split {split}"
            )
        first = Shard(paths[0])
        expected = first.header.at(0)
        if expected.manifest != manifest_fingerprint:
            raise ArtifactError(
                f"the features in '{paths[0]}' were made from manifest '{expected.manifest}', but "
                f"'{expected.corpus}' now has '{manifest_fingerprint}'. Make them again: {expected.remake}"
            )
        wanted = [expected.at(number).path(folder) for number in range(expected.shards)]
        missing = [path.name for path in wanted if path not in set(paths)]
        if missing:
            finish = expected.remake.removesuffix(" --overwrite")
            raise ArtifactError(
                f"{len(missing)} of {len(wanted)} shards are missing in '{folder}', the first is "
                f"'{missing[0]}'. Finish them: {finish}"
            )
        shards = [first if path == paths[0] else Shard(path) for path in wanted]
        for number, shard in enumerate(shards):
            if shard.header != expected.at(number):
                raise ArtifactError(_differs(shard, expected.at(number), paths[0]))
        return cls(shards)

    def read(self, field: str, rows: Tensor, mirrored: Tensor | None = None) -> Tensor:
        """[B] images or [C] captions, int64 -> float32 [B, ...] of the field's own shape; of images with
        `mirrored` [B] bool the mirrored ones where it is True.

        Raises:
            ArtifactError: when the store lacks the field, or a vector read is not finite.
        """
        self._need(field)
        shape = self._shards[0].read(field).shape[1:]
        read = self._buffers.empty((len(rows), *shape))
        if mirrored is None or not bool(mirrored.any()):
            self._fill(read, field, rows, torch.arange(len(rows)))
        else:
            self._need(field + MIRRORED)
            self._fill(read, field, rows, (~mirrored).nonzero().flatten())
            self._fill(read, field + MIRRORED, rows, mirrored.nonzero().flatten())
        return read

    def token_lengths(self) -> Tensor:
        """[number of captions] int64: tokens of each.

        Raises:
            ArtifactError: when the store holds no token features.
        """
        self._need("token_features")
        return torch.cat([shard.read("token_offsets").diff() for shard in self._shards])

    def read_tokens(self, captions: Tensor) -> tuple[Tensor, Tensor]:
        """[C] int64 -> token_features float32 [C, L, F], token_mask bool [C, L]; L is the longest of those
        asked for.

        Raises:
            ArtifactError: as for `read`.
        """
        self._need("token_features")
        begins, lengths = torch.zeros_like(captions), torch.zeros_like(captions)
        of_shard = torch.searchsorted(self._starts, captions, right=True) - 1
        parts = [(number, (of_shard == number).nonzero().flatten()) for number in of_shard.unique().tolist()]
        for number, places in parts:
            offsets = self._shards[number].read("token_offsets")
            local = captions[places] - self._starts[number]
            begins[places], lengths[places] = offsets[local], offsets[local + 1] - offsets[local]
        longest = int(lengths.max()) if len(lengths) else 0
        read = torch.zeros(len(captions), longest, self.width)
        mask = torch.arange(longest) < lengths[:, None]
        for number, places in parts:
            # every real token of these captions: its row in the shard, and its place in the padded result
            here = mask[places]
            source = (begins[places, None] + torch.arange(longest))[here]
            target = (places[:, None] * longest + torch.arange(longest))[here]
            tokens = self._shards[number].read("token_features").index_select(0, source)
            read.view(-1, self.width).index_copy_(0, target, tokens.float())
        self._check_finite("token_features", read, captions)
        self._check_unchanged("token_features", captions[~self._seen_of("token_features")[captions]])
        return read, mask

    def _fill(self, read: Tensor, field: str, rows: Tensor, places: Tensor) -> None:
        """Read the rows of some places into these places; those read for the first time are looked at."""
        self._copy(read, field, rows, places)
        new = places[~self._seen_of(field)[rows[places]]]
        if len(new):
            self._check_finite(field, read if len(new) == len(read) else read[new], rows[new])
            self._check_unchanged(field, rows[new])

    def _seen_of(self, field: str) -> Tensor:
        """[rows] bool: those of a field that were read before, and found whole."""
        if field not in self._seen:
            self._seen[field] = torch.zeros(int(self._starts[-1]), dtype=torch.bool)
        return self._seen[field]

    def _copy(self, read: Tensor, field: str, rows: Tensor, places: Tensor) -> None:
        of_shard = torch.searchsorted(self._starts, rows[places], right=True) - 1
        local = rows[places] - self._starts[of_shard]
        if read[:1].numel() >= LONG_ROW:
            held, there = [shard.read(field) for shard in self._shards], read.unbind()
            chosen = zip(of_shard.tolist(), local.tolist(), strict=True)
            some = [held[shard].select(0, row) for shard, row in chosen]
            _convert(some, [there[place] for place in places.tolist()])
            return
        for shard in of_shard.unique().tolist():
            here = of_shard == shard
            some = self._shards[shard].read(field).index_select(0, local[here])
            read.index_copy_(0, places[here], some.float())

    def _need(self, field: str) -> None:
        if field not in self.fields:
            flip = " --flip" if field.endswith(MIRRORED) else ""
            again = self._header.remake.replace(" --overwrite", f"{flip} --overwrite")
            raise ArtifactError(
                f"the features of '{self.encoder}' over '{self._header.corpus}' hold no '{field}'; "
                f"they hold {', '.join(self.fields)}. Make them with it: {again}"
            )

    def _check_finite(self, field: str, read: Tensor, rows: Tensor) -> None:
        # a sum is not finite if any of its terms is not, and is cheaper than asking each of them
        if bool(read.sum().isfinite()):
            return
        broken = rows[~read.flatten(1).isfinite().all(dim=1)].tolist()
        if broken:
            raise ArtifactError(
                f"'{field}' of row {broken[0]} of '{self._header.split}' made by '{self.encoder}' is not "
                f"a number. Make the features again: {self._header.remake}"
            )

    def _check_unchanged(self, field: str, rows: Tensor) -> None:
        """Compare rows that are read for the first time with their checksums."""
        of_shard = torch.searchsorted(self._starts, rows, right=True) - 1
        for number in of_shard.unique().tolist():
            local = (rows[of_shard == number] - self._starts[number]).tolist()
            changed = self._shards[number].changed(field, local)
            if changed is not None:
                raise ArtifactError(
                    f"'{field}' of row {changed} in '{self._shards[number].path}' is not what was written: "
                    f"the file changed on the disk. Make the features again: {self._header.remake}"
                )
        self._seen_of(field)[rows] = True


def _convert(rows: Sequence[Tensor], to: Sequence[Tensor]) -> None:
    """Convert as it is copied, so that nothing of a batch's size is made but the batch."""
    if torch.get_num_threads() > 1:
        rows, to = ([part for row in some for part in row.view(-1).split(ALONE)] for some in (rows, to))
    if rows:
        torch._foreach_copy_(to, rows)


def _differs(shard: Shard, expected: ShardHeader, first: Path) -> str:
    """The sentence that names both makings of two shards that should be one."""
    held, wanted = dataclasses.asdict(shard.header), dataclasses.asdict(expected)
    name = next(name for name in wanted if held[name] != wanted[name])
    return (
        f"'{shard.path}' has {name} '{held[name]}', but '{first.name}' has '{wanted[name]}'. "
        f"Make them again together: {shard.header.remake}"
    )
