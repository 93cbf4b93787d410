"""Find a method by its folder's name, a corpus or a few-shot classifier by its file's name, and any of them
by the entry point of another package; the single place with importlib.
"""

import importlib
import pkgutil
from collections.abc import Iterable
from typing import Any

from mmx.core.classifier import Classifier
from mmx.core.corpus import Corpus
from mmx.core.errors import PluginError
from mmx.core.method import Method
from mmx.core.names import canonical, unknown
from mmx.core.plugins import Plugin, plugins

ATTRIBUTES = {"mmx.methods": "METHOD", "mmx.corpora": "CORPUS", "mmx.heads": "CLASSIFIER"}
"""Of each package of parts, and group of entry points, what a part is called in its module."""


def names(package: str) -> list[str]:
    """Names of what `mmx.methods`, `mmx.corpora` or `mmx.heads` holds and of what plug-ins add to it, as
    typed (hyphens), without importing any of it.
    """
    own = _own(package)
    return sorted({*own, *(plugin.name for plugin in plugins(package, own))})


def find_method(name: str) -> Method | Classifier:
    """The method of that name; hyphen and underscore are the same. A few-shot method is a Classifier.

    Raises:
        UsageError: when there is none; names the near match.
        PluginError: when another package brings it, and it cannot be used.
    """
    return _find("mmx.methods", "method", name, "mmx methods")


def find_corpus(name: str) -> Corpus:
    """The corpus of that name.

    Raises:
        UsageError: when there is none; names the near match.
        PluginError: as for `find_method`.
    """
    return _find("mmx.corpora", "dataset", name, "mmx datasets")


def find_classifiers() -> dict[str, Classifier]:
    """Every few-shot classifier by its name: those of `mmx.heads`, then the methods that are one."""
    methods = find_all("mmx.methods").items()
    return find_all("mmx.heads") | {name: found for name, found in methods if isinstance(found, Classifier)}


def find_all(package: str) -> dict[str, Any]:
    """Every part of a package by its name; plug-ins that cannot be used are passed over."""
    own = {name: _import(package, name) for name in _own(package)}
    for plugin in plugins(package, own):
        try:
            own.setdefault(plugin.name, plugin.load())
        except PluginError:
            continue
    return dict(sorted(own.items()))


def find_plugin(group: str, name: str, taken: Iterable[str] = ()) -> Plugin | None:
    """What another package brings of that name, whether it can be used or not."""
    return next((plugin for plugin in plugins(group, taken) if plugin.name == canonical(name)), None)


def origin(package: str, name: str) -> str:
    """The package and version that bring a part; empty for one of mmx itself."""
    own = _own(package)
    plugin = None if name in own else find_plugin(package, name)
    return plugin.origin if plugin else ""


def troubles(group: str, taken: Iterable[str] | None = None) -> dict[Plugin, str]:
    """Every plug-in of a group, loaded, and what is wrong with it: empty where nothing is.

    Args:
        group: of entry points.
        taken: names that mmx has itself; None for those of the package of that name.
    """
    found = {}
    for plugin in plugins(group, _own(group) if taken is None else taken):
        try:
            plugin.load()
            found[plugin] = ""
        except PluginError as error:
            found[plugin] = str(error)
    return found


def _find(package: str, kind: str, name: str, listing: str) -> Any:
    if canonical(name) in _own(package):
        return _import(package, canonical(name))
    plugin = find_plugin(package, name)
    if plugin is None:
        raise unknown(kind, name, names(package), listing)
    return plugin.load()


def _own(package: str) -> list[str]:
    path = importlib.import_module(package).__path__
    return sorted(
        canonical(found.name) for found in pkgutil.iter_modules(path) if not found.name.startswith("_")
    )


def _import(package: str, name: str) -> Any:
    module = importlib.import_module(f"{package}.{name.replace('-', '_')}")
    return getattr(module, ATTRIBUTES[package])
