"""What the terminal can show: pictures by a protocol of its own, half blocks in colour, or letters alone."""

import os
import re
import select
import sys
import time

from mmx.cli.report import plain

KITTY_LIKE = ("ghostty", "WezTerm")
SIXEL = "4"
"""The number by which a terminal says, asked for its attributes, that it draws sixels."""
ATTRIBUTES = re.compile(rb"\x1b\[\?([\d;]*)c")
PATIENCE = 0.3
"""Seconds that an answer may take."""


def pictures_in_terminal() -> str:
    """`kitty`, `sixel`, `half-blocks`, or `none` where standard output is no terminal or colours are off."""
    if not sys.stdout.isatty() or plain():
        return "none"
    named = os.environ.get("TERM_PROGRAM") in KITTY_LIKE or "kitty" in os.environ.get("TERM", "")
    if named or os.environ.get("KITTY_WINDOW_ID"):
        return "kitty"
    return "sixel" if SIXEL in _attributes() else "half-blocks"


def _attributes() -> list[str]:
    """The numbers with which the terminal answers; none where it does not, or cannot be asked."""
    try:
        import termios
        import tty

        handle = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except (ImportError, OSError):
        return []
    try:
        before = termios.tcgetattr(handle)
        try:
            tty.setcbreak(handle, termios.TCSANOW)
            os.write(handle, b"\x1b[c")
            answer = _read(handle)
        finally:
            termios.tcsetattr(handle, termios.TCSANOW, before)
    except termios.error:
        return []
    finally:
        os.close(handle)
    found = ATTRIBUTES.search(answer)
    return found.group(1).decode("ascii").split(";") if found else []


def _read(handle: int) -> bytes:
    answer, end = b"", time.monotonic() + PATIENCE
    while not ATTRIBUTES.search(answer) and (left := end - time.monotonic()) > 0:
        if not select.select([handle], [], [], left)[0]:
            break
        answer += os.read(handle, 1024)
    return answer
