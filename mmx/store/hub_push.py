"""Publishing a folder on a hub: one commit of all its files. The token is the library's own affair."""

from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi

from mmx import __version__
from mmx.core.errors import ArtifactError
from mmx.store.hub_calls import can_ask, endpoint, hub_errors


def push_folder(folder: Path, repository: str, private: bool, revision: str | None) -> str:
    """Make the repository where there is none, and commit every file of a folder; gives the commit's address.

    Args:
        folder: what is published, file by file.
        repository: OWNER/NAME.
        private: whether a repository that is made is hidden; one that is there stays as it is.
        revision: the branch, made where there is none; None for the main one.

    Raises:
        UsageError: when the name cannot be a repository's.
        ArtifactError: when the hub refuses or is out of reach.
    """
    if not can_ask():
        raise ArtifactError(
            f"'{repository}' cannot be pushed: no hub can be reached at '{endpoint()}'. Look at the network, "
            "and whether HF_HUB_OFFLINE is set."
        )
    api = HfApi(endpoint=endpoint(), library_name="mmx", library_version=__version__)
    with hub_errors(repository):
        api.create_repo(repository, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(repository, branch=revision, exist_ok=True)
        made = api.create_commit(
            repository,
            operations=[CommitOperationAdd(path.name, path) for path in sorted(folder.iterdir())],
            commit_message=f"A run of mmx {__version__}",
            revision=revision,
        )
    return made.commit_url
