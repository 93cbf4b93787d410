"""Names as people type them: hyphen and underscore are the same, and a wrong one gets the nearest right
one.
"""

import difflib
from collections.abc import Iterable

from mmx.core.errors import UsageError


def canonical(name: str) -> str:
    """The form under which a name is kept: lower case, hyphens for underscores."""
    return name.strip().lower().replace("_", "-")


def unknown(kind: str, name: str, known: Iterable[str], listing: str) -> UsageError:
    """The error for a name that does not exist: names the near match and every name there is."""
    names = sorted(known)
    near = difflib.get_close_matches(canonical(name), [canonical(known_name) for known_name in names], n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return UsageError(f"there is no {kind} '{name}'.{hint} There are: {', '.join(names)}. See: {listing}")
