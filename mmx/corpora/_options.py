"""Numbers among the options of a corpus, which arrive as they were typed."""

from collections.abc import Mapping

from mmx.core.errors import UsageError


def whole_number(name: str, options: Mapping[str, str], low: int = 0, high: int | None = None) -> int:
    """An option that is a whole number within its bounds.

    Raises:
        UsageError: when it is none.
    """
    text = options[name]
    if text.isdecimal() and int(text) >= low and (high is None or int(text) <= high):
        return int(text)
    end = "on" if high is None else f"to {high}"
    raise UsageError(f"{name}='{text}' is not possible. It is a whole number from {low} {end}.")
