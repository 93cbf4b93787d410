"""Lists of what there is: whatever is damaged hides nothing else."""

from mmx.core.home import Home
from mmx.workflows.listings import list_datasets
from tests.small_corpus import make_corpus


def test_a_damaged_dataset_is_listed_as_damaged_beside_the_others(home: Home) -> None:
    make_corpus(home, "broken")
    make_corpus(home, "whole")
    (home.dataset("broken") / "corpus.json").write_text("{")

    rows = {row.name: row for row in list_datasets(home)}

    assert "mmx prepare broken" in rows["broken"].damage and rows["broken"].prepared == {}
    assert rows["whole"].prepared["test"] == 10 and not rows["whole"].damage
    assert rows["toy"].prepared == {} and not rows["toy"].damage
