"""derive_seed: a pure function of its parts, different where any part differs."""

from mmx.core.seed import derive_seed


def test_equal_parts_give_equal_seeds_and_other_parts_other_seeds() -> None:
    assert derive_seed(1, "stage", 2) == derive_seed(1, "stage", 2)
    assert len({derive_seed(seed, "stage", step) for seed in range(10) for step in range(10)}) == 100


def test_parts_are_kept_apart() -> None:
    assert derive_seed(1, 23) != derive_seed(12, 3)


def test_a_seed_fits_what_torch_takes() -> None:
    assert 0 <= derive_seed("any") < 2**63
