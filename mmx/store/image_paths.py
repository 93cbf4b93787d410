"""Paths of pictures as annotations give them: kept inside the folder of pictures, whatever they say."""

import os
import re
from pathlib import Path

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"}
DRIVE = re.compile(r"^[A-Za-z]:")
WEB = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")


def relative_path(given: str) -> str:
    """The path with forward slashes and without `.`; nothing on the disk is touched.

    Raises:
        ValueError: with the reason, when it cannot stand for a file inside a folder.
    """
    if any(char < " " for char in given):
        raise ValueError("NUL byte or control character in the path")
    if WEB.match(given):
        raise ValueError("web address (pictures are read from files)")
    path = given.replace("\\", "/").strip()
    if path.startswith("/") or DRIVE.match(path):
        raise ValueError("absolute path (paths start at the folder of pictures)")
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise ValueError("path with '..' that leaves the folder of pictures")
    if not parts:
        raise ValueError("empty path")
    if any("\ud800" <= char <= "\udfff" for char in path):
        raise ValueError("path with a lone surrogate (half a character)")
    return "/".join(parts)


def path_inside(root: str, relative: str) -> Path:
    """The file that a relative path names, all links followed.

    Args:
        root: the folder of pictures, its own links followed (`os.path.realpath`).
        relative: a path inside it.

    Raises:
        ValueError: with the reason, when a link leaves the folder.
    """
    path = os.path.realpath(os.path.join(root, relative))
    if not path.startswith(root.rstrip(os.sep) + os.sep):
        raise ValueError("link that leaves the folder of pictures")
    return Path(path)
