"""mvsa_single: posts with a sentiment of the text and one of the picture (Niu and others, 2016).

The two labels become one by the usual rule: equal ones stand; a neutral one gives way to the other; a post
whose text and picture are of opposite sentiment is left out. No split is published: it is drawn by a seed.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from mmx.core.corpus import Corpus, Reading
from mmx.core.errors import DataError
from mmx.corpora._raw_folder import find_file, read_lines
from mmx.corpora._sentiment import OPTIONS, SENTIMENTS, Posts

LIST = ("labelResultAll.txt",)
ROW = re.compile(r"^(?P<id>\S+)\s+(?P<text>\w+)\s*,\s*(?P<image>\w+)\s*$")
NEUTRAL = "neutral"
LAYOUT = "labelResultAll.txt (a header, then <id> TAB <text>,<image>); and in data <id>.txt and <id>.jpg."
ENCODINGS = ("utf-8", "latin-1")


def read(raw: Path, options: Mapping[str, str]) -> Reading:
    """The posts whose two labels can be made one.

    Raises:
        DataError: when the list is not there.
    """
    path = find_file(raw, LIST)
    if path is None:
        raise DataError(f"no labels of MVSA are in '{raw}'. Expected there: {LAYOUT}")
    lines, remarks = read_lines(path)
    folder = path.parent / "data"
    posts = Posts(folder if folder.is_dir() else path.parent, ENCODINGS, remarks=remarks)
    opposite = 0
    for number, line in enumerate(lines[1:], start=2):
        match = ROW.match(line)
        if match is None:
            if line.strip():
                reason = "not of the form id TAB text,image"
                posts.rejects.append({"source": f"{path.name}:{number}", "value": line, "reason": reason})
            continue
        text, image = match["text"].lower(), match["image"].lower()
        merged = merge(text, image)
        opposite += merged is None
        if merged is not None:
            posts.add(f"{path.name}:{number}", match["id"], merged)
    if opposite:
        posts.remarks.append(
            f"{opposite:,} posts whose text and picture are of opposite sentiment are left out, as is usual"
        )
    return posts.reading(options)


def merge(text: str, image: str) -> str | None:
    """One sentiment of two; None where they are opposite. A word that is no sentiment stands as it is."""
    if text == image or image == NEUTRAL or text not in SENTIMENTS:
        return text
    return image if text == NEUTRAL or image not in SENTIMENTS else None


CORPUS = Corpus(
    summary="Posts with pictures and a sentiment, its text's and its picture's labels merged.",
    layout=LAYOUT,
    read=read,
    options=OPTIONS,
)
