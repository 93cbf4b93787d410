"""Which picture of a batch cannot be read, found and named when reading the batch has failed."""

from torch import Tensor

from mmx.core.errors import DataError
from mmx.engine.split_data import SplitData
from mmx.store.images import ImageError


def unreadable(data: SplitData, rows: Tensor, error: ImageError) -> DataError:
    """The error to raise when the pictures of records [B] could not be read."""
    for row in rows:
        try:
            data.images.read(row[None], None)
        except ImageError as reason:
            return DataError(
                f"'{data.records[int(row)].image}' can no longer be read: {reason}. Put it back, or prepare "
                "the dataset again."
            )
    return DataError(
        f"a picture could not be read ({error}), but could at the second attempt. Check the disk."
    )
