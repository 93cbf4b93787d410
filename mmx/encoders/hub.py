"""The folder of a model from the Hugging Face hub: from the cache if it is there, else fetched."""

from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from mmx.core.errors import ArtifactError, UsageError
from mmx.encoders.network import WAYS_ON, offline, reachable

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
PLAIN = ["*.json", "*.txt", "*.model", "1_Pooling/*.json"]
"""What lies beside the weights: configuration, vocabulary, pooling."""


def hub_folder(name: str, repository: str) -> Path:
    """The cached snapshot of a repository with configuration, tokenizer and weights.

    Raises:
        UsageError: when the name cannot be a repository's.
        ArtifactError: when it is not cached and cannot be fetched; says what to do without a network.
    """
    try:
        cached = _cached(repository)
        if cached is not None:
            return cached
        if offline() or not reachable(constants.ENDPOINT):
            raise ArtifactError(
                f"'{name}' is not in the cache '{constants.HF_HUB_CACHE}' and no hub can be reached. "
                f"Set HF_HOME to a cache that holds it; {WAYS_ON}"
            )
        return _fetch(repository)
    except HFValidationError as error:
        raise UsageError(f"'{name}' names no repository. Write hub:OWNER/MODEL.") from error
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ArtifactError(f"'{name}' cannot be fetched: {reason}. Check the name; {WAYS_ON}") from error


def _cached(repository: str) -> Path | None:
    try:
        folder = Path(snapshot_download(repository, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    whole = (folder / "config.json").is_file() and any((folder / weights).is_file() for weights in WEIGHTS)
    return folder if whole else None


def _fetch(repository: str) -> Path:
    """Fetch safetensors where the repository has them, else the older kind, which is read without running
    code.
    """
    folder = Path(snapshot_download(repository, allow_patterns=[*PLAIN, "model*.safetensors"]))
    if not any((folder / weights).is_file() for weights in WEIGHTS):
        folder = Path(snapshot_download(repository, allow_patterns=[*PLAIN, "pytorch_model*.bin"]))
    return folder
