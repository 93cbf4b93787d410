"""Under which licence pretrained weights were given out, as far as this machine knows."""

from importlib.metadata import PackageNotFoundError, metadata

from mmx.encoders.names import resolve_name

UNKNOWN = "unknown"
LONGEST = 60
"""Letters of a licence's name; beyond, it is the text of one."""


def licence_of(encoder: str, modality: str) -> str:
    """That of a registry package by its own account; of weights from elsewhere nothing is known here.

    Raises:
        UsageError: when there is no such encoder.
    """
    source, _, rest = resolve_name(encoder, modality).partition(":")
    if source == "random":
        return "none: drawn weights"
    if source != "package":
        return UNKNOWN
    try:
        about = metadata(rest)
    except PackageNotFoundError:
        return UNKNOWN
    stated = (about[field] for field in ("License-Expression", "License") if field in about)
    said = next((text.strip() for text in stated if text), "")
    if said.lower() not in ("", UNKNOWN) and len(said) <= LONGEST and "\n" not in said:
        return f"{said} (of the package `{rest}`)"
    named = [
        line.rpartition("::")[2].strip() for line in about.get_all("Classifier") or () if "License" in line
    ]
    return f"{', '.join(named)} (of the package `{rest}`)" if named else UNKNOWN
