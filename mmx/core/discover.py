"""Find a method by its folder's name, a corpus or a few-shot classifier by its file's name; the single place
with importlib.
"""

import importlib
import pkgutil
from functools import cache

from mmx.core.classifier import Classifier
from mmx.core.corpus import Corpus
from mmx.core.method import Method
from mmx.core.names import canonical, unknown

HEADS = "mmx fewshot --help"


def names(package: str) -> list[str]:
    """Names of what `mmx.methods` or `mmx.corpora` holds, as typed (hyphens), without importing any of it."""
    path = importlib.import_module(package).__path__
    return sorted(
        canonical(found.name) for found in pkgutil.iter_modules(path) if not found.name.startswith("_")
    )


def find_method(name: str) -> Method | Classifier:
    """The method of that name; hyphen and underscore are the same. A few-shot method is a Classifier.

    Raises:
        UsageError: when there is none; names the near match.
    """
    return _find("mmx.methods", "METHOD", "method", name, "mmx methods")


def find_corpus(name: str) -> Corpus:
    """The corpus of that name.

    Raises:
        UsageError: when there is none; names the near match.
    """
    return _find("mmx.corpora", "CORPUS", "dataset", name, "mmx datasets")


def find_classifiers() -> dict[str, Classifier]:
    """Every few-shot classifier by its name: those of `mmx.heads`, then the methods that are one."""
    heads = {name: _find("mmx.heads", "CLASSIFIER", "head", name, HEADS) for name in names("mmx.heads")}
    methods = {name: find_method(name) for name in names("mmx.methods")}
    return heads | {name: found for name, found in methods.items() if isinstance(found, Classifier)}


@cache
def _find(package: str, attribute: str, kind: str, name: str, listing: str):  # noqa: ANN202
    known = names(package)
    if canonical(name) not in known:
        raise unknown(kind, name, known, listing)
    module = importlib.import_module(f"{package}.{canonical(name).replace('-', '_')}")
    return getattr(module, attribute)
