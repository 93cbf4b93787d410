"""Typed settings: every number that a person could want to change, with its help, its bounds and its source.

Order of precedence: default < TOML file < MMX_* variable < --set < flag. Each resolved value remembers where
it came from.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mmx.core.errors import UsageError
from mmx.core.names import unknown

S = TypeVar("S")

TRUE_WORDS = {"true", "yes", "on", "1"}
FALSE_WORDS = {"false", "no", "off", "0"}


def setting(
    default: Any,
    help: str,
    *,
    source: str,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] | None = None,
) -> Any:
    """A field of a settings dataclass.

    Args:
        default: the value when nobody says otherwise.
        help: one sentence with the unit.
        source: the paper, seed or code the default comes from; "ours: ..." when it is our choice.
        low: smallest value allowed.
        high: largest value allowed.
        choices: the words allowed, for a setting that is a word.
    """
    metadata = {"help": help, "source": source, "low": low, "high": high, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class SettingRow:
    """One line of the `--settings` table."""

    name: str
    value: Any
    default: Any
    help: str
    source: str
    set_by: str


def names(cls: type) -> list[str]:
    """Names of all settings of a settings dataclass, in the order they are declared."""
    return [field.name for field in dataclasses.fields(cls)]


def resolve(
    cls: type[S], layers: Sequence[tuple[str, Mapping[str, Any]]], listing: str
) -> tuple[S, dict[str, str]]:
    """Lay the layers over the defaults, later ones winning.

    Args:
        cls: a settings dataclass.
        layers: (who says so, name -> value) from the weakest to the strongest; text is read as the field's
        type.
        listing: the command that lists the settings, named in error messages.

    Returns:
        The settings and, for each name, who set it ("default" when nobody did).

    Raises:
        UsageError: for an unknown name, a value of the wrong type, or one out of bounds.
    """
    # S is a dataclass, for which there is no public type
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    set_by = dict.fromkeys(fields, "default")
    for who, layer in layers:
        for given_name, value in layer.items():
            name = given_name.replace("-", "_")
            if name not in fields:
                raise unknown("setting", given_name, fields, listing)
            values[name] = _read(name, value, hints[name], fields[name].metadata)
            set_by[name] = who
    return cls(**values), set_by


def table(settings: Any, set_by: Mapping[str, str]) -> list[SettingRow]:
    """The settings as rows: name, value, default, meaning, source of the default, who set the value."""
    return [
        SettingRow(
            field.name,
            getattr(settings, field.name),
            field.default,
            field.metadata["help"],
            field.metadata["source"],
            set_by.get(field.name, "default"),
        )
        for field in dataclasses.fields(settings)
    ]


def parse_assignments(assignments: Sequence[str]) -> dict[str, str]:
    """`["margin=0.3"]` as `{"margin": "0.3"}`.

    Raises:
        UsageError: when an assignment has no `=`.
    """
    pairs: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name.strip():
            raise UsageError(
                f"'{assignment}' is not a setting. Write name=value, for example --set epochs=5."
            )
        pairs[name.strip()] = value.strip()
    return pairs


def _read(name: str, value: Any, hint: Any, metadata: Mapping[str, Any]) -> Any:
    """The value as the field's type, within its bounds."""
    kinds = [kind for kind in typing.get_args(hint) if kind is not types.NoneType] or [hint]
    if type(None) in typing.get_args(hint) and (value is None or str(value).lower() == "none"):
        return None
    read = _as_kind(name, value, kinds[0])
    low, high, choices = metadata.get("low"), metadata.get("high"), metadata.get("choices")
    if (low is not None and not read >= low) or (high is not None and not read <= high):
        raise UsageError(f"{name}={read} is out of bounds. It must lie in {_interval(low, high)}.")
    if choices is not None and read not in choices:
        raise UsageError(f"{name}='{read}' is not possible. It is one of: {', '.join(choices)}.")
    return read


def _as_kind(name: str, value: Any, kind: type) -> Any:
    if kind is bool:
        word = str(value).lower()
        if word not in TRUE_WORDS | FALSE_WORDS:
            raise UsageError(f"{name}='{value}' is not a yes or no. Write {name}=true or {name}=false.")
        return word in TRUE_WORDS
    if isinstance(value, bool) and kind in (int, float):
        raise UsageError(f"{name}={value} is not a number.")
    try:
        read = kind(value)
    except (TypeError, ValueError):
        expected = {int: "a whole number", float: "a number"}.get(kind, kind.__name__)
        raise UsageError(f"{name}='{value}' is not {expected}.") from None
    if kind is int and isinstance(value, float) and value != read:
        raise UsageError(f"{name}={value} is not a whole number.")
    return read


def _interval(low: float | None, high: float | None) -> str:
    left = "(-inf" if low is None else f"[{low}"
    right = "inf)" if high is None else f"{high}]"
    return f"{left}, {right}"
