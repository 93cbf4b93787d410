"""derive_seed: a pure function of its parts, different where any part differs."""

import pytest

from mmx.core.errors import UsageError
from mmx.core.seed import derive_seed, read_seeds


def test_equal_parts_give_equal_seeds_and_other_parts_other_seeds() -> None:
    assert derive_seed(1, "stage", 2) == derive_seed(1, "stage", 2)
    assert len({derive_seed(seed, "stage", step) for seed in range(10) for step in range(10)}) == 100


def test_parts_are_kept_apart() -> None:
    assert derive_seed(1, 23) != derive_seed(12, 3)


def test_a_seed_fits_what_torch_takes() -> None:
    assert 0 <= derive_seed("any") < 2**63


def test_seeds_are_a_list_or_how_many() -> None:
    assert read_seeds("1,2,5") == (1, 2, 5) and read_seeds(" 0,7 ") == (0, 7)
    assert read_seeds("3") == (1, 2, 3) and read_seeds("1") == (1,)


@pytest.mark.parametrize("text", ["0", "0,0", "1,2,1", "", "1,", "1;2", "-1", "one", "999999999", "1.5"])
def test_nonsense_is_no_list_of_seeds(text: str) -> None:
    with pytest.raises(UsageError, match="--seeds"):
        read_seeds(text)
