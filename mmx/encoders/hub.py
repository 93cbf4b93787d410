"""The folder of a model from the Hugging Face hub: from the cache if it is there, else fetched."""

from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from mmx.core.errors import ArtifactError, UsageError, first_line
from mmx.core.network import offline, reachable
from mmx.encoders.said import odd, read_said
from mmx.encoders.tokenizers import has_tokenizer
from mmx.encoders.weights import WAYS_ON

WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
PLAIN = ["*.json", "*.txt", "*.model", "1_Pooling/*.json"]
"""What lies beside the weights: configuration, vocabulary, pooling."""


def hub_folder(name: str, repository: str, with_tokenizer: bool = False) -> Path:
    """The cached snapshot of a repository with configuration, all weights, and the tokenizer if it is needed.

    Raises:
        UsageError: when the name cannot be a repository's.
        ArtifactError: when it is not cached and cannot be fetched; says what to do without a network.
    """
    try:
        cached = _cached(repository)
        if cached is not None and is_whole(cached, with_tokenizer):
            return cached
        if offline() or not reachable(constants.ENDPOINT):
            raise ArtifactError(
                f"'{name}' is not whole in the cache '{constants.HF_HUB_CACHE}' and no hub can be reached. "
                f"Set HF_HOME to a cache that holds it; {WAYS_ON}"
            )
        return _fetch(repository)
    except HFValidationError as error:
        raise UsageError(f"'{name}' names no repository. Write hub:OWNER/MODEL.") from error
    except (HfHubHTTPError, OSError) as error:
        raise ArtifactError(
            f"'{name}' cannot be fetched: {first_line(error)}. Check the name; {WAYS_ON}"
        ) from error


def _cached(repository: str) -> Path | None:
    try:
        return Path(snapshot_download(repository, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def is_whole(folder: Path, with_tokenizer: bool) -> bool:
    """Whether a snapshot holds configuration, tokenizer if it is needed, and every file of the weights."""
    if not (folder / "config.json").is_file() or (with_tokenizer and not has_tokenizer(folder)):
        return False
    return any(
        (folder / weights).is_file() and all((folder / part).is_file() for part in _parts(folder / weights))
        for weights in WEIGHTS
    )


def _parts(weights: Path) -> set[str]:
    """The files that an index of weights names."""
    if weights.suffix != ".json":
        return set()
    said = read_said(weights).get("weight_map")
    if not isinstance(said, dict) or not said:
        raise odd(weights, said)
    return set(map(str, said.values()))


def _fetch(repository: str) -> Path:
    """Fetch safetensors where the repository has them, else the older kind, which is read without running
    code.
    """
    folder = Path(snapshot_download(repository, allow_patterns=[*PLAIN, "model*.safetensors"]))
    if not is_whole(folder, with_tokenizer=False):
        folder = Path(snapshot_download(repository, allow_patterns=[*PLAIN, "pytorch_model*.bin"]))
    return folder
