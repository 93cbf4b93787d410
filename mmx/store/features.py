"""FeatureStore: what one frozen encoder says of one split of a corpus, memory-mapped.

Shapes: B images, C captions, P patches, L tokens, F width, D width of a shared space. Row i is record i of
the manifest's split.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from mmx.core.errors import ArtifactError
from mmx.store.shard import MIRRORED, Shard, shard_paths


class FeatureStore:
    """All shards of one encoder over one split."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        """Take shards that `open` has checked."""
        self._shards = shards
        header = shards[0].header
        self._header = header
        self.encoder, self.modality, self.fingerprint = header.encoder, header.modality, header.fingerprint
        self.fields, self.width, self.rows = header.fields, header.width, header.total
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
                f"'{expected.corpus}' "
                f"now has '{manifest_fingerprint}'. Make them again: {expected.remake}"
            )
        wanted = [expected.at(number).path(folder) for number in range(expected.shards)]
        missing = [path.name for path in wanted if path not in set(paths)]
        if missing:
            finish = expected.remake.removesuffix(" --overwrite")
            raise ArtifactError(
                f"{len(missing)} of {len(wanted)} shards are missing in '{folder}', the first is "
                f"'{missing[0]}'. "
                f"Finish them: {finish}"
            )
        shards = [first if path == paths[0] else Shard(path) for path in wanted]
        for number, shard in enumerate(shards):
            if shard.header != expected.at(number):
                raise ArtifactError(_differs(shard, expected.at(number), paths[0]))
        return cls(shards)

    def read_images(self, field: str, rows: Tensor, mirrored: Tensor | None = None) -> Tensor:
        """[B] int64 (and [B] bool: take the mirrored picture) -> float32 [B, F] or [B, P, F].

        Raises:
            ArtifactError: when the store lacks the field, or a vector read is not finite.
        """
        if mirrored is None or not bool(mirrored.any()):
            return self._gather(field, rows)
        read = self._gather(field, rows)
        places = mirrored.nonzero().flatten()
        read[places] = self._gather(field + MIRRORED, rows[places])
        return read

    def read_texts(self, field: str, captions: Tensor) -> Tensor:
        """[C] int64 -> float32 [C, F].

        Raises:
            ArtifactError: as for `read_images`.
        """
        return self._gather(field, captions)

    def read_tokens(self, captions: Tensor) -> tuple[Tensor, Tensor]:
        """[C] int64 -> token_features float32 [C, L, F], token_mask bool [C, L]; L is the longest of those
        asked for.

        Raises:
            ArtifactError: as for `read_images`.
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
        return read, mask

    def _gather(self, field: str, rows: Tensor) -> Tensor:
        self._need(field)
        of_shard = torch.searchsorted(self._starts, rows, right=True) - 1
        numbers = of_shard.unique().tolist()
        if len(numbers) == 1:
            local = rows - self._starts[numbers[0]]
            read = self._shards[numbers[0]].read(field).index_select(0, local).float()
        else:
            shape = self._shards[0].read(field).shape[1:]
            read = torch.empty(len(rows), *shape)
            for number in numbers:
                places = (of_shard == number).nonzero().flatten()
                local = rows[places] - self._starts[number]
                read.index_copy_(0, places, self._shards[number].read(field).index_select(0, local).float())
        self._check_finite(field, read, rows)
        return read

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
                "a number. "
                f"Make the features again: {self._header.remake}"
            )


def _differs(shard: Shard, expected: object, first: Path) -> str:
    """The sentence that names both makings of two shards that should be one."""
    held, wanted = dataclasses.asdict(shard.header), dataclasses.asdict(expected)
    name = next(name for name in wanted if held[name] != wanted[name])
    return (
        f"'{shard.path}' has {name} '{held[name]}', but '{first.name}' has '{wanted[name]}'. "
        f"Make them again together: {shard.header.remake}"
    )
