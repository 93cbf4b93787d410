"""Names as people type them: hyphen and underscore are the same, and a wrong one gets the nearest right
one.
"""

import difflib
from collections.abc import Iterable

from mmx.core.errors import UsageError


def canonical(name: str) -> str:
    """The form under which a name is kept: lower case, hyphens for underscores."""
    return name.strip().lower().replace("_", "-")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` of the nearest name; empty where none is near."""
    near = difflib.get_close_matches(canonical(name), [canonical(known_name) for known_name in known], n=1)
    return f" Did you mean '{near[0]}'?" if near else ""


def unknown(kind: str, name: str, known: Iterable[str], listing: str) -> UsageError:
    """The error for a name that does not exist: names the near match and every name there is."""
    names = sorted(known)
    hint = did_you_mean(name, names)
    return UsageError(f"there is no {kind} '{name}'.{hint} There are: {', '.join(names)}. See: {listing}")
