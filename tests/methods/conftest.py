"""The batch that most tests of methods read."""

import pytest

from mmx.core.batch import Batch
from tests.methods.doubles import make_batch


@pytest.fixture
def batch() -> Batch:
    """Four images with two captions each."""
    return make_batch(captions_per_image=2)
