"""A folder of posts in CoNLL files, with pictures for some of them, for tests that train on it."""

from pathlib import Path

from PIL import Image

POSTS = (
    "Anna B-PER|met O|Bob B-PER|today O",
    "New B-LOC|York I-LOC|is O|far O",
    "nothing O|new O|today O",
    "Bob B-PER|left O|New B-LOC|York I-LOC|!!! O",
)
COLOURS = ("red", "green", "blue", "white")


def write_posts(folder: Path, train: int = 12, others: int = 4) -> Path:
    """Posts in train, valid and test; each third one has no picture."""
    (folder / "images").mkdir(parents=True)
    number = 0
    for name, count in (("train", train), ("valid", others), ("test", others)):
        blocks = []
        for _ in range(count):
            lines = POSTS[number % len(POSTS)].replace(" ", "\t").split("|")
            blocks.append("\n".join([f"IMGID:{number}", *lines]))
            if number % 3:
                # of different sizes, so that no two are the same file
                picture = Image.new("RGB", (24 + number, 16), COLOURS[number % len(COLOURS)])
                picture.save(folder / "images" / f"{number}.jpg")
            number += 1
        (folder / f"{name}.txt").write_text("\n\n".join(blocks))
    return folder


def write_sentiments(folder: Path, posts: int = 20) -> Path:
    """Posts with a sentiment, in the layout of guid,tag."""
    (folder / "data").mkdir(parents=True)
    words = {"positive": "a good day", "negative": "a bad day", "neutral": "a day"}
    rows = ["guid,tag"]
    for number in range(posts):
        tag = ("positive", "negative", "neutral")[number % 3]
        rows.append(f"{number},{tag}")
        (folder / "data" / f"{number}.txt").write_text(f"{words[tag]} number {number}")
        picture = Image.new("RGB", (24 + number, 16), COLOURS[number % len(COLOURS)])
        picture.save(folder / "data" / f"{number}.jpg")
    (folder / "train.txt").write_text("\n".join(rows))
    return folder
