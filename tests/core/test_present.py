"""What may be None by its type."""

import pytest

from mmx.core.present import present


@pytest.mark.parametrize("value", [0, "", (), False])
def test_what_is_there_passes_even_when_it_is_empty(value: object) -> None:
    assert present(value) is value


def test_what_is_not_there_is_a_fault_of_the_program() -> None:
    with pytest.raises(TypeError, match="promised"):
        present(None)
