"""One's own data, in whatever form it lies: a table, a folder a class, parquet, `datasets` or a hub."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmx.core.corpus import Corpus, Reading
from mmx.core.discover import find_all
from mmx.core.errors import DataError, UsageError
from mmx.core.paths import expanded
from mmx.core.record import Record
from mmx.core.reporter import Reporter
from mmx.store.hub import NamedSplit, is_saved_dataset, open_hub, open_saved
from mmx.store.image_paths import relative_path
from mmx.store.shot_files import is_shot_folder
from mmx.store.tables import SUFFIXES, read_parquet, read_table
from mmx.workflows.class_folders import read_class_folders
from mmx.workflows.drawn_splits import read_shares, with_splits
from mmx.workflows.own_columns import PICTURE_FOLDERS, SPLIT_WORDS, UNPACKED, Gatherer, find_columns
from mmx.workflows.own_posts import about_posts, read_own_posts
from mmx.workflows.unnamed_pictures import said_of_unnamed

HUB = "hub:"
PATHS = ("relative", "names")
OWN_OPTIONS = {
    "seed": "0",
    "shares": "80/10/10",
    "paths": "relative",
    "images": "",
    "image": "",
    "caption": "",
    "split": "",
    "label": "",
    "identity": "",
    "id": "",
}
TABLE_NAMES = ("metadata", "captions", "annotations", "labels", "data")
SAMPLE = 50
FORMS = (
    "a table (CSV, TSV, JSON lines or parquet) with columns such as image,caption; a folder with such a "
    "table and its pictures; a folder of pictures a class; a folder written by `datasets`; "
    "or hub:owner/name"
)

Rows = Iterator[tuple[str, dict[str, Any]]]


@dataclass
class Source:
    """Rows of one file or split, with the split its name says."""

    name: str
    split: str | None
    rows: Iterable[tuple[str, dict[str, Any]]]
    columns: Sequence[str]
    class_names: Mapping[str, list[str]] = field(default_factory=dict)


def read_own(raw: str, options: Mapping[str, str], workplace: Path, reporter: Reporter) -> Reading:
    """Records of one's own data; without splits they are drawn by the seed.

    Raises:
        DataError: when nothing is there that can be read.
        UsageError: for a split that cannot be drawn.
    """
    shares = read_shares(options["shares"])
    if options["paths"] not in PATHS:
        raise UsageError(
            f"paths='{options['paths']}' is not possible. They are: relative (to the folder of pictures), "
            "or names (whatever folders a table of foreign making puts before them)."
        )
    if raw.startswith(HUB):
        reading = _from_hub(open_hub(raw.removeprefix(HUB)), options, workplace, reporter)
    else:
        reading = _from_disk(expanded(raw), options, workplace, reporter)
    return with_splits(reading, shares, options["seed"])


def _from_disk(path: Path, options: Mapping[str, str], workplace: Path, reporter: Reporter) -> Reading:
    if not path.exists():
        raise DataError(f"there is nothing at '{path}'. --raw takes {FORMS}.")
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(f"'{path}' is of no kind that can be read. --raw takes {FORMS}.")
        return _from_tables([(path, None)], path.parent, options, workplace, reporter)
    if is_saved_dataset(path):
        return _from_hub(open_saved(path), options, workplace, reporter)
    if is_shot_folder(path):
        from mmx.workflows.shot_folder import read_shot_folder

        return read_shot_folder(path)
    layout = _layout_of(path)
    if layout is not None:
        reading = layout.read(path, {**layout.options, "seed": options["seed"]})
        return replace(reading, remarks=(f"read as: {layout.summary}", *reading.remarks))
    tables = _tables_in(path)
    if tables:
        return _from_tables(tables, path, options, workplace, reporter)
    sorted_by_class = read_class_folders(path)
    if sorted_by_class is None:
        raise DataError(
            f"in '{path}' is no table, nor a folder of pictures for each class. --raw takes {FORMS}."
        )
    return sorted_by_class


def _layout_of(folder: Path) -> Corpus | None:
    """The corpus in whose layout a folder lies, where one says so."""
    known = find_all("mmx.corpora").values()
    return next((corpus for corpus in known if corpus.fits is not None and corpus.fits(folder)), None)


def _tables_in(folder: Path) -> list[tuple[Path, str | None]]:
    """The tables of a folder and their splits: one of a usual name, else one a split, else the only one.

    Raises:
        UsageError: when there are several and none is the obvious one.
    """
    places = [folder, folder / "data"] if (folder / "data").is_dir() else [folder]
    found = sorted(path for place in places for path in place.iterdir() if path.suffix.lower() in SUFFIXES)
    named = [path for name in TABLE_NAMES for path in found if path.stem.lower() == name]
    if named:
        return [(named[0], None)]
    splits = [(path, _split_of(path)) for path in found]
    by_split: list[tuple[Path, str | None]] = [(path, split) for path, split in splits if split]
    if by_split:
        return by_split
    plain = [path for path in found if path.suffix.lower() != ".json"] or found
    if len({path.suffix.lower() for path in plain}) == 1 and plain[0].suffix.lower() == ".parquet":
        return [(path, None) for path in plain]
    if len(plain) > 1:
        raise UsageError(
            f"'{folder}' holds several tables: {', '.join(path.name for path in plain)}. "
            f"Name one: --raw {plain[0]}"
        )
    return [(path, None) for path in plain]


def _split_of(path: Path) -> str | None:
    """The split that a file is named after: train.csv, validation-00000-of-00002.parquet."""
    return SPLIT_WORDS.get(path.stem.lower().split("-")[0].split("_")[0].split(".")[0])


def _from_tables(
    tables: Sequence[tuple[Path, str | None]],
    folder: Path,
    options: Mapping[str, str],
    workplace: Path,
    reporter: Reporter,
) -> Reading:
    remarks: list[str] = []
    rejects: list[dict[str, Any]] = []
    sources = []
    for path, split in tables:
        if path.suffix.lower() == ".parquet":
            sources.append(_peeked(path.name, split, read_parquet(path)))
            continue
        table = read_table(path)
        remarks += [f"read '{path.name}'", *table.remarks]
        rejects += table.rejects
        sources.append(_peeked(path.name, split, iter(table.rows)))
    if rejects and not any(source.columns for source in sources):
        raise DataError(f"no row can be read, the first: {rejects[0]['source']}: {rejects[0]['reason']}.")
    if any(about_posts(source.columns) for source in sources):
        reading = read_own_posts([(source.split, source.rows) for source in sources], folder)
    else:
        reading = _gather(sources, options, workplace, reporter)
    reading = replace(
        reading,
        image_root=_image_root(reading, folder, options["images"]),
        rejects=[*rejects, *reading.rejects],
    )
    unnamed = said_of_unnamed(reading, list(reading.records))
    return replace(reading, remarks=(*remarks, *reading.remarks, *unnamed))


def _peeked(name: str, split: str | None, rows: Rows) -> Source:
    """A source whose columns are those of its first row."""
    first = next(rows, None)
    if first is None:
        return Source(name, split, [], [])

    def with_first() -> Rows:
        yield first
        yield from rows

    return Source(name, split, with_first(), list(first[1]))


def _from_hub(
    splits: Sequence[NamedSplit], options: Mapping[str, str], workplace: Path, reporter: Reporter
) -> Reading:
    sources = [
        Source(
            split.name,
            SPLIT_WORDS.get(split.name.lower()),
            split.rows(),
            list(split.data.features),
            split.class_names,
        )
        for split in splits
    ]
    if len(sources) == 1:
        # A data set of one split says nothing about splits, whatever its name is.
        sources[0].split = None
    unknown = [source.name for source in sources if source.split is None]
    if len(sources) > 1 and unknown:
        raise DataError(
            f"the splits '{', '.join(unknown)}' are not known. They are named: {', '.join(SPLIT_WORDS)}."
        )
    return _gather(sources, options, workplace, reporter)


def _gather(
    sources: Sequence[Source], options: Mapping[str, str], workplace: Path, reporter: Reporter
) -> Reading:
    filled = [source for source in sources if source.columns]
    if not filled:
        raise DataError(
            f"'{', '.join(source.name for source in sources)}' holds no rows. Look at what --raw names."
        )
    columns = find_columns(filled[0].columns, options, filled[0].name)
    gatherer = Gatherer(columns, workplace, options["paths"] == "names")
    class_names: Sequence[str] = ()
    with reporter.progress("reading", None, "rows") as bar:
        for source in filled:
            if find_columns(source.columns, options, source.name) != columns:
                raise DataError(
                    f"'{source.name}' has other columns than '{filled[0].name}'. Give all the same ones."
                )
            class_names = source.class_names.get(columns.get("label", ""), ()) or class_names
            for place, row in source.rows:
                gatherer.add(place, _named_label(row, columns, class_names), source.split)
                bar.advance()
    records, classes = gatherer.records(class_names)
    meanings = ", ".join(f"{meaning} = '{column}'" for meaning, column in columns.items())
    root = gatherer.root or workplace
    return Reading(records, root, classes, (f"columns: {meanings}",), gatherer.rejects)


def _named_label(
    row: dict[str, Any], columns: Mapping[str, str], class_names: Sequence[str]
) -> Mapping[str, Any]:
    """The row with its class by name, where the data set keeps numbers and names apart."""
    column = columns.get("label", "")
    number = row.get(column)
    if not class_names or not isinstance(number, int) or not 0 <= number < len(class_names):
        return {**row, column: None} if class_names and number == -1 else row
    return {**row, column: class_names[number]}


def _image_root(reading: Reading, folder: Path, chosen: str) -> Path:
    """Where the named pictures lie: as chosen, or beside the table, or in a folder of a usual name."""
    if reading.image_root.name == UNPACKED:
        return reading.image_root
    if chosen:
        return folder / expanded(chosen)
    sample = list(reading.records)[:SAMPLE]
    places = [folder, *(folder / name for name in PICTURE_FOLDERS)]
    return max(places, key=lambda place: sum(_is_there(place, record) for record in sample))


def _is_there(place: Path, record: Record) -> bool:
    try:
        return (place / relative_path(record.image or "")).is_file()
    except ValueError:
        return False
