"""Parts of mmx that other packages bring: what they declare by entry points, and whether it can be used.

An entry point of the group `mmx.methods` gives a Method or a few-shot Classifier, one of `mmx.corpora` a
Corpus, of `mmx.heads` a Classifier, of `mmx.encoders` an EncoderMaker, of `mmx.indexes` an IndexKeeper.
Reading what is declared imports nothing; whatever is wrong with a part is kept as words until somebody needs
it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from mmx import __version__
from mmx.core.classifier import Classifier
from mmx.core.corpus import Corpus
from mmx.core.encoder import EncoderMaker
from mmx.core.errors import MmxError, PluginError, first_line
from mmx.core.index_keeper import IndexKeeper
from mmx.core.method import Method
from mmx.core.names import canonical
from mmx.core.present import present

KINDS: dict[str, tuple[type, ...]] = {
    "mmx.methods": (Method, Classifier),
    "mmx.corpora": (Corpus,),
    "mmx.heads": (Classifier,),
    "mmx.encoders": (EncoderMaker,),
    "mmx.indexes": (IndexKeeper,),
}
"""What an entry point of each group gives."""


@dataclass(frozen=True)
class Plugin:
    """One entry point."""

    group: str
    name: str
    """As typed, with hyphens."""
    package: str
    version: str
    entry: EntryPoint
    problem: str = ""
    """Why it cannot be used, as far as can be told without importing it."""

    @property
    def origin(self) -> str:
        """Name and version of the package that brings it."""
        return f"{self.package} {self.version}"

    def load(self) -> Any:
        """What it gives, of one of the KINDS of its group.

        Raises:
            PluginError: when it cannot be used; says why.
        """
        if self.problem:
            raise self.broken(self.problem)
        with self.guard():
            found = self.entry.load()
        if not isinstance(found, KINDS[self.group]):
            wanted = " or ".join(kind.__name__ for kind in KINDS[self.group])
            raise self.broken(f"'{self.entry.value}' is a {type(found).__name__}, not a {wanted}")
        return found

    def broken(self, reason: str) -> PluginError:
        """The error that says why it cannot be used."""
        return PluginError(
            f"the plug-in '{self.name}' ({self.group}) of '{self.origin}' cannot be used: {reason}. "
            f"Mend it, or take it away: pip uninstall {self.package}"
        )

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Turn whatever the code of others raises into a PluginError; errors of mmx pass."""
        try:
            yield
        except MmxError:
            raise
        except (Exception, SystemExit) as error:
            raise self.broken(f"{type(error).__name__}: {first_line(error)}") from error


def plugins(group: str, taken: Iterable[str] = ()) -> list[Plugin]:
    """What is declared for a group, by name; nothing is imported.

    Args:
        group: one of KINDS.
        taken: names that mmx has itself; a plug-in of such a name is refused.
    """
    found = [_plugin(group, entry) for entry in entry_points(group=group)]
    return [_checked(plugin, found, set(taken)) for plugin in sorted(found, key=lambda one: one.name)]


def _plugin(group: str, entry: EntryPoint) -> Plugin:
    package = present(entry.dist)
    return Plugin(group, canonical(entry.name), package.name, package.version, entry)


def _checked(plugin: Plugin, others: list[Plugin], taken: set[str]) -> Plugin:
    same = [other.origin for other in others if other.name == plugin.name]
    if plugin.name in taken:
        return replace(plugin, problem="mmx has one of that name itself, which is the one that is used")
    if len(same) > 1:
        return replace(plugin, problem=f"{' and '.join(same)} bring one of that name")
    return replace(plugin, problem=_misfit(plugin))


def _misfit(plugin: Plugin) -> str:
    """Why a plug-in was not made for this version of mmx; empty when it was, or does not say."""
    try:
        asked = [Requirement(text) for text in present(plugin.entry.dist).requires or ()]
    except InvalidRequirement as error:
        return f"its metadata is wrong ({first_line(error)})"
    for one in asked:
        meant = canonicalize_name(one.name) == "mmx" and (one.marker is None or one.marker.evaluate())
        if meant and not one.specifier.contains(__version__, prereleases=True):
            return f"it was made for mmx {one.specifier}, and this is mmx {__version__}"
    return ""
