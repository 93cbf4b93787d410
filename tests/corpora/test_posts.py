"""Corpora of posts: the files as they are found, and what is odd in them."""

from pathlib import Path

import pytest

from mmx.core.corpus import Reading
from mmx.core.discover import find_corpus
from mmx.core.errors import DataError, UsageError
from mmx.corpora._conll import count_orphans
from mmx.corpora._sentiment import decode_text
from mmx.corpora.mvsa_single import merge
from mmx.tasks.span_f1 import count_spans
from tests.post_corpus import write_posts, write_sentiments

POST = "IMGID:7\nRT\tO\nGeorge\tB-PER\nZimmerman\tI-PER\n"


def read(name: str, folder: Path, **options: str) -> Reading:
    corpus = find_corpus(name)
    return corpus.read(folder, {**corpus.options, **options})


def one_file(folder: Path, text: str) -> Path:
    (folder / "train.txt").write_text(text)
    return folder


def test_a_post_is_its_words_its_tags_and_the_picture_of_its_number(tmp_path: Path) -> None:
    (record,) = read("twitter2017", one_file(tmp_path, POST)).records

    assert record.words == ("RT", "George", "Zimmerman") and record.tags == ("O", "B-PER", "I-PER")
    assert (record.id, record.image, record.captions) == ("7", "7.jpg", ("RT George Zimmerman",))


@pytest.mark.parametrize("end", ["", "\n", "\n\n\n"])
def test_the_last_post_needs_no_empty_line_behind_it(tmp_path: Path, end: str) -> None:
    folder = one_file(tmp_path, f"{POST}\n{POST.replace('7', '8')}".rstrip("\n") + end)

    assert [record.id for record in read("twitter2015", folder).records] == ["7", "8"]


def test_a_new_number_begins_a_post_without_an_empty_line_too(tmp_path: Path) -> None:
    folder = one_file(tmp_path, POST + POST.replace("7", "8"))

    assert [len(record.words) for record in read("twitter2015", folder).records] == [3, 3]


def test_other_is_what_others_call_misc(tmp_path: Path) -> None:
    folder = one_file(tmp_path, "IMGID:1\nEmmys\tB-OTHER\n2015\tI-OTHER\n")

    assert next(iter(read("twitter2015", folder).records)).tags == ("B-MISC", "I-MISC")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Paris\tB-CITY", "line 3: unknown tag 'B-CITY' (there are O, B- and I- of PER, LOC, ORG, MISC)"),
        ("Paris\tE-LOC", "line 3: unknown tag 'E-LOC'"),
        ("Paris", "line 3: 'Paris' is not of the form token TAB tag"),
        ("Paris\tB-LOC\tx", "is not of the form token TAB tag"),
        ("\tB-LOC", "is not of the form token TAB tag"),
    ],
)
def test_a_post_with_a_broken_line_is_left_out_and_the_line_named(
    tmp_path: Path, line: str, reason: str
) -> None:
    found = read("twitter2015", one_file(tmp_path, f"IMGID:1\nin\tO\n{line}\n\n{POST}"))

    assert [record.id for record in found.records] == ["7"]
    (reject,) = found.rejects
    assert reason in reject["reason"] and reject["source"] == "train.txt:1"


def test_own_posts_have_whatever_types_they_have(tmp_path: Path) -> None:
    folder = one_file(tmp_path, "IMGID:1\nParis\tB-CITY\n")

    assert next(iter(read("conll-posts", folder).records)).tags == ("B-CITY",)
    assert find_corpus("conll-posts").fits(folder)


def test_a_post_without_a_number_is_kept_without_a_picture_and_told(tmp_path: Path) -> None:
    found = read("twitter2015", one_file(tmp_path, "in\tO\nParis\tB-LOC\n"))

    (record,) = found.records
    assert record.image is None and record.id == "train-line-1"
    assert any("1 posts have no IMGID" in remark for remark in found.remarks)


def test_inside_tags_without_a_beginning_are_kept_and_counted(tmp_path: Path) -> None:
    found = read(
        "twitter2015", one_file(tmp_path, "IMGID:1\nin\tO\nParis\tI-LOC\nTexas\tI-LOC\nBob\tI-PER\n")
    )

    assert count_orphans(("O", "I-LOC", "I-LOC", "I-PER")) == 2
    assert any("2 times I- follows no entity" in remark for remark in found.remarks)


def test_a_hold_out_becomes_val_and_the_valid_file_test_where_there_is_none(tmp_path: Path) -> None:
    folder = write_posts(tmp_path / "posts")
    (folder / "test.txt").unlink()

    found = read("twitter2017", folder, holdout="3")

    splits = [record.split for record in found.records]
    assert [splits.count(split) for split in ("train", "val", "test")] == [9, 3, 4]
    with pytest.raises(UsageError, match="holdout=99 is too much: train has 12 posts"):
        read("twitter2017", folder, holdout="99")


def test_a_folder_without_posts_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no posts are in .*IMGID:<id>"):
        read("twitter2015", tmp_path)


def test_texts_of_a_course_are_read_each_in_its_own_encoding(tmp_path: Path) -> None:
    folder = write_sentiments(tmp_path / "course", posts=3)
    (folder / "data" / "1.txt").write_bytes("caf\u00e9 …".encode("gb18030"))
    (folder / "train.txt").write_text(
        "guid,tag\n0,positive\n1,negative\n2,null\n9,neutral\n0/../1,neutral\n5,odd\n"
    )

    found = read("guid-tag-posts", folder)

    assert {record.id: record.sentiment for record in found.records} == {"0": "positive", "1": "negative"}
    assert {record.captions[0] for record in found.records} == {"a good day number 0", "café …"}
    reasons = [reject["reason"] for reject in found.rejects]
    assert reasons[0] == "no tag is told" and reasons[1] == "no text, or an empty one"
    assert reasons[2] == "not the name of a post" and reasons[3].startswith("unknown tag 'odd'")
    assert any("1 texts are not utf-8; read as gb18030" in remark for remark in found.remarks)
    assert find_corpus("guid-tag-posts").fits(folder) and not find_corpus("guid-tag-posts").fits(tmp_path)


def test_what_no_encoding_fits_is_read_with_marks() -> None:
    assert decode_text(b"a\xff", ("utf-8", "gb18030")) == ("a\ufffd", "utf-8 with marks for what it lacks")


@pytest.mark.parametrize(
    ("text", "image", "merged"),
    [
        ("positive", "positive", "positive"),
        ("neutral", "negative", "negative"),
        ("positive", "neutral", "positive"),
        ("positive", "negative", None),
        ("neutral", "neutral", "neutral"),
    ],
)
def test_two_labels_become_one_unless_they_are_opposite(text: str, image: str, merged: str | None) -> None:
    assert merge(text, image) == merged


def test_mvsa_is_read_by_its_label_file_and_its_split_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number in range(4):
        (tmp_path / "data" / f"{number}.txt").write_bytes(b"na\xefve words")
    rows = [
        "ID\ttext,image",
        "0\tpositive,neutral",
        "1\tnegative,positive",
        "2\tneutral,neutral",
        "x",
        "3\todd,odd",
    ]
    (tmp_path / "labelResultAll.txt").write_text("\n".join(rows))

    found = read("mvsa-single", tmp_path)

    assert {record.id: record.sentiment for record in found.records} == {"0": "positive", "2": "neutral"}
    assert next(iter(found.records)).captions == ("naïve words",)
    assert any("1 posts whose text and picture are of opposite" in remark for remark in found.remarks)
    assert [reject["value"] for reject in found.rejects] == ["x", "3"]


@pytest.mark.real_data
def test_the_gold_of_twitter2015_is_5072_entities_by_one_rule_and_5207_by_the_other(real_data: Path) -> None:
    records = read("twitter2015", real_data / "twitter_mner" / "twitter2015").records
    gold = [record.tags for record in records if record.split == "test"]

    counts = {rule: count_spans(gold, gold, rule).counts[:, :, 2].sum() for rule in ("strict", "conll")}

    assert len(gold) == 3257
    assert counts == {"strict": 5072, "conll": 5207}
