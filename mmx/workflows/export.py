"""Export: the towers of a run as ONNX graphs that other programs run, checked against torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmx.core.errors import ArtifactError, UsageError
from mmx.core.home import Home
from mmx.core.paths import expanded
from mmx.core.present import present
from mmx.core.reporter import Reporter
from mmx.encoders.image_tower import ImageTower
from mmx.encoders.onnx_session import OnnxSession
from mmx.encoders.text_tower import save_tokenizer
from mmx.engine.onnx_export import OPSET, check_installed, describe
from mmx.engine.second_stage import active
from mmx.store.assets import save_assets
from mmx.store.onnx_towers import TOKENIZER, OnnxTowers, check_replaceable, new_towers, write_facts
from mmx.store.provenance import versions
from mmx.store.run import find_run
from mmx.workflows.export_examples import pictures_of, sentences_of
from mmx.workflows.exported_sides import Agreement, Side, picture_examples, text_examples, write_side
from mmx.workflows.int8_recall import TOLERANCE, Int8Recall, open_val, recall_in_int8
from mmx.workflows.matcher import Matcher, open_matcher
from mmx.workflows.onnx_place import towers_place
from mmx.workflows.retrieval_task import retrieval_of

SCHEMA = "mmx.export/1"


@dataclass(frozen=True)
class ExportSettings:
    """Which run, in what form, and where to."""

    run: Path
    onnx: bool = True
    int8: bool = False
    """Whether weights are rounded to int8, which is kept only where recall on val holds."""
    int8_tolerance: float | None = None
    """The most points of 100 that a recall may fall; `TOLERANCE` where nothing is said."""
    out: Path | None = None
    """By default beside the weights of the run; of the run that comes with mmx, in the home."""
    home: Home = field(default_factory=Home.find)


@dataclass(frozen=True)
class Export:
    """What was written."""

    run: str
    path: Path
    bytes: int
    sides: Mapping[str, Agreement]
    compared_on: Mapping[str, str]
    left_out: Mapping[str, str]
    """What others will not find there, and why."""
    int8: Int8Recall | None = None
    """What int8 costs; None of an export in float."""

    def document(self) -> dict[str, Any]:
        """What --json shows."""
        sides = {name: agreement.document() for name, agreement in self.sides.items()}
        int8 = None if self.int8 is None else self.int8.document()
        return {"schema": SCHEMA, **vars(self), "path": str(self.path), "sides": sides, "int8": int8}


def export(settings: ExportSettings, reporter: Reporter) -> Export:
    """Write the towers of a run, each side by itself, and compare them with torch; what was exported before
    is replaced when all is well.

    Raises:
        UsageError: when no form is named, the run matches no pictures and words, the folder holds else, or
            the tolerance is none.
        ArtifactError: when there is no such run, no side of it can be exported, or int8 costs too much
            recall or none can be measured.
        MissingExtraError: when onnx is not installed.
        ResourceError: when the folder cannot be written.
    """
    if not settings.onnx:
        raise UsageError("there is no form to export to. Write: mmx export RUN --onnx")
    tolerance = _tolerance(settings)
    check_installed()
    run = find_run(settings.run, settings.home.runs)
    place, stamp = run.path, run.stamp
    out = towers_place(place, settings.home) if settings.out is None else expanded(settings.out).absolute()
    check_replaceable(out)
    matcher = open_matcher(place, None, settings.home, "cpu")
    val = None if tolerance is None else open_val(matcher, reporter)
    agreements: dict[str, Agreement] = {}
    left_out: dict[str, str] = {}
    facts: dict[str, dict[str, Any] | None] = {"image": None, "text": None}
    compared: dict[str, str] = {}
    with new_towers(out) as folder:
        for name, make in (("image", _image_side), ("text", _text_side)):
            try:
                side, compared[name] = make(matcher)
                reporter.info(f"writing '{side.file}', and comparing it with torch on {compared[name]}")
                agreements[name] = write_side(side, folder, settings.int8)
            except _NotExported as reason:
                left_out[name] = str(reason)
                continue
            facts[name] = _said_of(side, agreements[name], compared[name])
            describe(folder / side.file, _metadata(matcher, side, agreements[name], settings.int8))
        if not agreements:
            raise ArtifactError(f"'{matcher.name}' cannot be exported: {'; '.join(left_out.values())}.")
        _add_preprocessing(matcher, folder, facts, left_out)
        about = _about(matcher)
        if about["second_stage"]:
            left_out["the second stage"] = "it looks at pairs of pictures and sentences, and is no tower"
        int8 = None
        if val is not None and tolerance is not None:
            # words as a search reads them
            sessions = {
                name: OnnxSession(folder / f"{name}.onnx", once=name == "text") for name in agreements
            }
            int8 = recall_in_int8(matcher, val, sessions, tolerance, reporter)
            int8.check(matcher.name)
        said = None if int8 is None else int8.document()
        write_facts(folder, {**about, "stamp": stamp, **facts, "left_out": left_out, "int8": said})
    towers = OnnxTowers.open(out)
    return Export(matcher.name, out, towers.bytes, agreements, compared, left_out, int8)


def _tolerance(settings: ExportSettings) -> float | None:
    """How much recall int8 may cost; None for an export in float."""
    asked = settings.int8_tolerance
    if asked is not None and not settings.int8:
        raise UsageError("--int8-tolerance is how much recall --int8 may cost. Add --int8, or leave it out.")
    if asked is not None and not 0 <= asked <= 100:
        raise UsageError(f"--int8-tolerance {asked:g} is not possible. It is from 0 to 100 points of recall.")
    return (TOLERANCE if asked is None else asked) if settings.int8 else None


class _NotExported(Exception):
    """A side that others cannot run; the message is the reason."""


def _image_side(matcher: Matcher) -> tuple[Side, str]:
    opened, view = present(matcher.opened), matcher.view("image")
    if view.fit == "within":
        raise _NotExported(
            "its pictures are read by a detector that takes them in their own sizes, which a graph of one "
            "tensor of pixels does not"
        )
    pixels, where = pictures_of(opened, view)
    side = Side(
        "image",
        lambda inputs: matcher.embed_pixels(inputs["pixels"]),
        [opened.model, matcher.tower("image")],
        picture_examples(pixels),
        {"pixels": {0: "batch"}},
    )
    return side, where


def _text_side(matcher: Matcher) -> tuple[Side, str]:
    opened = present(matcher.opened)
    sentences, where = sentences_of(opened)
    examples = text_examples(matcher.number_texts(sentences), len(sentences))
    lengths = {name: "length" if name.startswith("token") else f"{name} length" for name in examples[0]}
    side = Side(
        "text",
        matcher.embed_numbers,
        [opened.model, *([matcher.tower("text")] if "text" in opened.uses else [])],
        examples,
        {name: {0: "batch", 1: length} for name, length in lengths.items()},
    )
    return side, where


def _said_of(side: Side, agreement: Agreement, compared_on: str) -> dict[str, Any]:
    """What a reader of the folder needs to know of a graph."""
    inputs = {
        name: {
            "type": str(value.dtype).removeprefix("torch."),
            "shape": [side.axes[name].get(axis, size) for axis, size in enumerate(value.shape)],
        }
        for name, value in side.examples[0].items()
    }
    return {
        "file": side.file,
        "inputs": inputs,
        "output": side.output,
        "checked": {**agreement.document(), "on": compared_on},
    }


def _add_preprocessing(
    matcher: Matcher, folder: Path, facts: dict[str, Any], left_out: dict[str, str]
) -> None:
    """How pictures become pixels and sentences numbers: into the facts, and as files beside the graphs."""
    opened = present(matcher.opened)
    if facts["image"] is not None:
        facts["image"]["preprocessing"] = _preprocessing(matcher)
    if facts["text"] is None:
        return
    facts["text"]["tokenizer"] = None
    if "text" in opened.uses:
        try:
            facts["text"]["tokenizer"] = save_tokenizer(matcher.tower("text"), folder / TOKENIZER)
        except UsageError as error:
            left_out["tokenizer"] = str(error)
    own = sorted(set(facts["text"]["inputs"]) - {"token_ids", "token_mask"})
    facts["text"]["numbered_by_mmx"] = own if "text" in opened.uses else ["token_ids", *own]
    if facts["text"]["numbered_by_mmx"]:
        # words and concepts that the run counted itself; how sentences become them is the method's own affair
        save_assets(folder, opened.fitted.assets)
        left_out["the way to " + ", ".join(facts["text"]["numbered_by_mmx"])] = (
            "words and concepts are those that the run counted (assets.json), and mmx numbers them"
        )


def _preprocessing(matcher: Matcher) -> dict[str, Any]:
    tower = matcher.tower("image")
    said: dict[str, Any] = {"order": "RGB", **asdict(matcher.view("image")), "normalised": "inside the graph"}
    if isinstance(tower, ImageTower):
        said["mean"] = [round(value, 6) for value in tower.mean.flatten().tolist()]
        said["deviation"] = [round(value, 6) for value in tower.deviation.flatten().tolist()]
    said["averaged_with_mirror"] = bool(getattr(present(matcher.opened).fitted.settings, "mirror", False))
    return said


def _about(matcher: Matcher) -> dict[str, Any]:
    """The run, as far as others need to know it."""
    opened = present(matcher.opened)
    task = retrieval_of(opened.method, opened.folder.path)
    return {
        "run": matcher.name,
        "method": opened.folder.facts["method"],
        "fingerprint": matcher.fingerprint,
        "second_stage": active(task.rerank, opened.model) is not None,
        "opset": OPSET,
        "versions": versions(),
        "created": datetime.now(UTC).isoformat(),
    }


def _metadata(matcher: Matcher, side: Side, agreement: Agreement, int8: bool) -> dict[str, str]:
    """What stands in the graph itself."""
    return {
        "run": matcher.name,
        "method": present(matcher.opened).folder.facts["method"],
        "fingerprint": matcher.fingerprint,
        "output": side.output,
        "weights": "int8" if int8 else "float32",
        "deviation_from_torch": f"{agreement.deviation:.2e}",
        "least_cosine_to_torch": f"{agreement.cosine:.8f}",
    }
