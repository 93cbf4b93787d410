"""The JSON form of Karpathy and Fei-Fei (CVPR 2015): splits and captions in one file."""

from pathlib import Path
from typing import Any

from mmx.core.corpus import Reading
from mmx.core.errors import DataError
from mmx.core.record import Record
from mmx.corpora._raw_folder import read_json

SPLIT_NAMES = {"train": "train", "restval": "train", "val": "val", "test": "test"}


def read_karpathy(path: Path, image_root: Path) -> Reading:
    """Records of the three splits (`restval` belongs to train), and the entries that cannot be used.

    Raises:
        DataError: when the file is not of this form.
    """
    said, _ = read_json(path, dict, "an object with the list 'images'")
    images = said.get("images")
    if not isinstance(images, list):
        raise DataError(f"'{path}' has no list 'images'. Expected the form of dataset_flickr8k.json.")
    records, rejects = [], []
    for place, image in enumerate(images):
        reason = _fault(image)
        if reason is None:
            records.append(_record(image))
        else:
            name = str(image.get("filename", "")) if isinstance(image, dict) else str(image)[:80]
            rejects.append({"source": f"{path.name}: image {place}", "value": name, "reason": reason})
    return Reading(records, image_root, remarks=(f"read '{path.name}'",), rejects=rejects)


def _fault(image: Any) -> str | None:
    if not isinstance(image, dict) or not isinstance(image.get("filename"), str):
        return "no file name"
    if image.get("split") not in SPLIT_NAMES:
        return f"unknown split '{image.get('split')}'"
    sentences = image.get("sentences")
    if not isinstance(sentences, list) or not sentences:
        return "no sentences; every image needs at least one"
    if not all(isinstance(sentence, dict) and _text(sentence) for sentence in sentences):
        return "a sentence with neither 'raw' nor 'tokens'"
    return None


def _record(image: dict[str, Any]) -> Record:
    folder = image.get("filepath")
    name = image["filename"]
    return Record(
        id=Path(name).stem,
        split=SPLIT_NAMES[image["split"]],
        image=f"{folder}/{name}" if folder else name,
        captions=tuple(_text(sentence) for sentence in image["sentences"]),
        extra={"restval": True} if image["split"] == "restval" else {},
    )


def _text(sentence: dict[str, Any]) -> str:
    raw = sentence.get("raw")
    return raw if isinstance(raw, str) else " ".join(map(str, sentence.get("tokens") or ()))
