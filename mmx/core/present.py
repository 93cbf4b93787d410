"""present: what its type lets be None, where a declaration or an earlier check says that it is there."""

from typing import TypeVar

T = TypeVar("T")


def present(value: T | None) -> T:
    """The value itself.

    Raises:
        TypeError: when it is None after all: a fault of the program, not of whoever uses it.
    """
    if value is None:
        raise TypeError("something is None that an earlier check or a declaration promised to be there")
    return value
