"""guid_tag_posts: posts with a sentiment as courses hand them out: `train.txt` of guid,tag."""

import csv
from collections.abc import Mapping
from pathlib import Path

from mmx.core.corpus import Corpus, Reading
from mmx.core.errors import DataError
from mmx.corpora._raw_folder import find_file, read_lines
from mmx.corpora._sentiment import OPTIONS, Posts

LIST = ("train.txt",)
HEADER = ["guid", "tag"]
UNKNOWN = "null"
"""What stands for the class of a post that nobody has told."""
LAYOUT = "train.txt with the header guid,tag; and in the folder data <guid>.txt and <guid>.jpg."
ENCODINGS = ("utf-8", "gb18030")


def read(raw: Path, options: Mapping[str, str]) -> Reading:
    """The posts of a folder; texts are UTF-8 or GB18030, each for itself.

    Raises:
        DataError: when the list is not there, or is another.
    """
    path = find_file(raw, LIST)
    if path is None:
        raise DataError(f"no list of posts is in '{raw}'. Expected there: {LAYOUT}")
    lines, remarks = read_lines(path)
    rows = list(csv.reader(lines))
    if not rows or [cell.strip().lower() for cell in rows[0]] != HEADER:
        raise DataError(f"'{path}' does not begin with the header 'guid,tag'. Expected: {LAYOUT}")
    folder = path.parent / "data"
    posts = Posts(folder if folder.is_dir() else path.parent, ENCODINGS, remarks=remarks)
    for number, row in enumerate(rows[1:], start=2):
        if len(row) == 2 and row[1].strip() != UNKNOWN:
            posts.add(f"{path.name}:{number}", row[0].strip(), row[1].strip().lower())
        elif row:
            reason = "no tag is told" if len(row) == 2 else "not of the form guid,tag"
            value = ",".join(row)
            posts.rejects.append({"source": f"{path.name}:{number}", "value": value, "reason": reason})
    return posts.reading(options)


def fits(folder: Path) -> bool:
    """Whether a folder lies in this layout."""
    path = folder / LIST[0]
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.readline(64).removeprefix(b"\xef\xbb\xbf").strip().lower()
    return start.replace(b" ", b"") == b",".join(name.encode() for name in HEADER)


CORPUS = Corpus(
    summary="Posts of your own with a sentiment: train.txt of guid,tag and a folder of texts and pictures.",
    layout=LAYOUT,
    read=read,
    options=OPTIONS,
    fits=fits,
)
