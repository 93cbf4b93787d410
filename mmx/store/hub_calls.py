"""Where the hub is, and what its refusals mean in words."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from mmx.core.errors import ArtifactError, UsageError, first_line
from mmx.core.network import offline, reachable
from mmx.core.paths import expanded

LOG_IN = "Log in (hf auth login), or set HF_TOKEN"
FAULTS = (
    HTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    EntryNotFoundError,
    OSError,
    ValueError,
)
"""What the library raises; its own errors are of several families."""


def endpoint() -> str:
    """The address of the hub: `$HF_ENDPOINT`, else the public one."""
    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def cache() -> Path:
    """Where what was fetched is kept: `$HF_HUB_CACHE`, `$HF_HOME/hub`, else the library's place."""
    home = os.environ.get("HF_HOME")
    chosen = os.environ.get("HF_HUB_CACHE") or (Path(home) / "hub" if home else constants.HF_HUB_CACHE)
    return expanded(chosen)


def can_ask() -> bool:
    """Whether the hub may be asked, and answers."""
    return not offline() and reachable(endpoint())


@contextmanager
def hub_errors(name: str) -> Iterator[None]:
    """Turn what the library raises into words.

    Raises:
        UsageError: when the name cannot be a repository's.
        ArtifactError: when the hub refuses, has it not, or is out of reach.
    """
    try:
        yield
    except FAULTS as error:
        raise _in_words(name, error) from error


def _in_words(name: str, error: BaseException) -> UsageError | ArtifactError:
    if isinstance(error, HFValidationError):
        return UsageError(f"'{name}' names no repository. Write OWNER/NAME.")
    if isinstance(error, LocalTokenNotFoundError):
        return ArtifactError(f"the hub needs to know who asks for '{name}'. {LOG_IN}.")
    if isinstance(error, GatedRepoError):
        return ArtifactError(f"'{name}' is given to those alone who asked its owner for it. {LOG_IN}.")
    # a refusal stands behind what the library says of its cache
    refusal = (error.__cause__ or error) if isinstance(error, LocalEntryNotFoundError) else error
    status = refusal.response.status_code if isinstance(refusal, HfHubHTTPError) else None
    if status == 401:
        return ArtifactError(f"the hub does not know who asks for '{name}' (401). {LOG_IN}.")
    if status == 403:
        return ArtifactError(f"the hub does not let you do this with '{name}' (403). Use a token that may.")
    if isinstance(error, RevisionNotFoundError):
        return ArtifactError(
            f"'{name}' has no such revision on the hub (404). Name another, or leave it out."
        )
    if isinstance(error, RepositoryNotFoundError) or status == 404:
        return ArtifactError(
            f"there is no '{name}' on the hub, or none that you may see (404). Check the name. {LOG_IN}."
        )
    if status is None and isinstance(error, HTTPError | OSError | OfflineModeIsEnabled):
        return ArtifactError(_out_of_reach(name))
    reason = first_line(refusal or error)
    return ArtifactError(f"the hub did not do what was asked with '{name}': {reason}. Try again later.")


def _out_of_reach(name: str) -> str:
    return (
        f"'{name}' is not whole in the cache '{cache()}' and no hub can be reached at '{endpoint()}'. Look "
        "at the network, or set HF_HOME to a cache that holds it."
    )
