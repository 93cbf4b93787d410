"""The settings that a method is trained with: its defaults, and everything that was said on top of them."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmx.core.classifier import Classifier
from mmx.core.discover import find_method
from mmx.core.discover import names as method_names
from mmx.core.errors import UsageError
from mmx.core.method import Method
from mmx.core.names import canonical, unknown
from mmx.core.settings import SettingRow, names, parse_assignments, resolve, table

PREFIX = "MMX_"


@dataclass(frozen=True)
class Wishes:
    """What was said about a method's settings, from the weakest to the strongest."""

    preset: str | None = None
    config: Path | None = None
    assignments: tuple[str, ...] = ()
    """`name=value` of `--set`."""
    flags: Mapping[str, Any] = field(default_factory=dict)
    """Settings that have a flag of their own; None where it was not given."""

    def given(self) -> list[str]:
        """The options that were used, as typed."""
        used = {"--preset": self.preset, "--config": self.config, "--set": self.assignments}
        flags = {_flag(name): value is not None for name, value in self.flags.items()}
        return [option for option, value in {**used, **flags}.items() if value]


@dataclass(frozen=True)
class ResolvedMethod:
    """A method with its settings, and who set each of them."""

    name: str
    method: Any
    """A Method, or a Classifier, which learns by a workflow of its own."""
    settings: Any
    set_by: Mapping[str, str]


def resolve_method(name: str, wishes: Wishes) -> ResolvedMethod:
    """Default < preset < config file < MMX_* variable < --set < flag.

    Raises:
        UsageError: for an unknown method, preset or setting, or a value that is not possible.
    """
    method = find_method(name)
    listing = f"mmx train {canonical(name)} --settings"
    layers: list[tuple[str, Mapping[str, Any]]] = []
    if wishes.preset is not None:
        layers.append((f"preset {wishes.preset}", _preset(method, wishes.preset, listing)))
    if wishes.config is not None:
        layers.append((str(wishes.config), read_config(wishes.config, name)))
    variables = {setting: PREFIX + setting.upper() for setting in names(method.settings)}
    said = {setting: os.environ.get(variable) for setting, variable in variables.items()}
    layers += [(variables[setting], {setting: value}) for setting, value in said.items() if value is not None]
    layers.append(("--set", parse_assignments(wishes.assignments)))
    layers += [(_flag(flag), {flag: value}) for flag, value in wishes.flags.items() if value is not None]
    settings, set_by = resolve(method.settings, layers, listing)
    return ResolvedMethod(canonical(name), method, settings, set_by)


def settings_table(name: str | None, wishes: Wishes) -> list[SettingRow]:
    """The resolved settings, for reading.

    Raises:
        UsageError: as `resolve_method`, and when no method is named.
    """
    if name is None:
        raise UsageError("name a method, for its settings. See: mmx methods")
    resolved = resolve_method(name, wishes)
    return table(resolved.settings, resolved.set_by)


def read_config(path: Path, method: str) -> dict[str, Any]:
    """The settings of a TOML file: those at its top, then those in a table with the method's name.

    Raises:
        UsageError: when the file is absent or is not TOML, or a table's name is no method's.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"'{path}' cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(f"'{path}' is not a TOML file: {error}.") from error
    tables = {name: value for name, value in values.items() if isinstance(value, dict)}
    known = method_names("mmx.methods")
    stranger = next((name for name in tables if canonical(name) not in known), None)
    if stranger is not None:
        raise unknown("method", stranger, known, f"mmx methods (a table of '{path}')")
    own = [value for name, value in tables.items() if canonical(name) == canonical(method)]
    plain = {name: value for name, value in values.items() if name not in tables}
    return {**plain, **(own[0] if own else {})}


def _preset(method: Method | Classifier, name: str, listing: str) -> Mapping[str, Any]:
    presets = {canonical(known): changes for known, changes in method.presets.items()}
    if canonical(name) not in presets:
        raise unknown("preset", name, presets, listing)
    return presets[canonical(name)]


def _flag(setting: str) -> str:
    return "--" + setting.replace("_", "-")
