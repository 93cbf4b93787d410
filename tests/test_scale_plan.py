"""The plan on paper: its page is what its script prints, and some of it worked out by hand."""

from pathlib import Path

import pytest

from benchmarks import scale_plan

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"


def test_the_page_is_what_the_script_prints() -> None:
    assert PAGE.read_text() == "\n".join(scale_plan.page()) + "\n"


def test_every_constant_says_where_it_is_from() -> None:
    assert {one.mark for one in scale_plan.C.values()} == {"measured", "public", "assumed"}
    assert all(one.source for one in scale_plan.C.values() if one.mark != "assumed")


def test_a_transformer_of_one_layer_by_hand() -> None:
    # two tokens, width 1, one patch of 1 x 1: 24 * 2 + 4 * 4 in the layer, 2 * 3 for the patch
    assert scale_plan.vit_gflop(2, 1, 1, 1) == pytest.approx(70e-9)


def test_what_is_proportional_is_so() -> None:
    assert scale_plan.query_ms("pq", 1) == pytest.approx(512)
    assert scale_plan.query_ms("pq", 4) == pytest.approx(512 / 4 + 2)
    one, many = (scale_plan.extraction_hours("b32", gpus) for gpus in (1, 64))
    assert [a / b for a, b in zip(one, many, strict=True)] == pytest.approx([64, 64])
    assert scale_plan.index_bytes(2048)["`pq` (scanned; the vectors stay on the disk)"][0] == 256
