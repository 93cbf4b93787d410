"""The GPU page, written from the records of results-gpu/: each row against the roofline of its card."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
RECORDS, PAGE = "results-gpu", "gpu.md"
HEAD = (
    "| work | as | a call | a second | TFLOP/s | of the peak | GB/s at least | of the copy | roofline | MiB |"
    " waits |\n|---|---|---|---|---|---|---|---|---|---|---|"
)
NONE_YET = (
    "**It has not been run on a card yet**: none could be had. Every row was tried on a processor at a "
    "tiny size\n(`python -m benchmarks.gpu --device cpu --tiny`): it works; of time that says nothing."
)

Record = Mapping[str, Any]

# TFLOP/s of float32, of products in TF32 and in bfloat16, and TB/s: the vendor's data sheets, without
# sparsity. A card that cannot do one has None.
VENDOR: dict[str, tuple[float, float | None, float | None, float]] = {
    "NVIDIA H200": (67, 494.5, 989.5, 4.8),
    "NVIDIA H100 80GB HBM3": (67, 494.5, 989.5, 3.35),
    "NVIDIA H100 PCIe": (51, 378, 756, 2.0),
    "NVIDIA A100-SXM4-80GB": (19.5, 156, 312, 2.039),
    "NVIDIA A100-SXM4-40GB": (19.5, 156, 312, 1.555),
    "NVIDIA A100 80GB PCIe": (19.5, 156, 312, 1.935),
    "NVIDIA L4": (30.3, 60, 121, 0.3),
    "Tesla T4": (8.1, None, None, 0.32),
    "NVIDIA GeForce RTX 4090": (82.6, 82.6, 165.2, 1.008),
}


def write(record: Record, order: Sequence[str], folder: Path) -> None:
    """Keep a run beside what was kept of the same card, and write the page of all cards."""
    path = folder / RECORDS / f"{re.sub(r'[^A-Za-z0-9]+', '-', record['card'])}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(path.read_text())["rows"] if path.exists() else {}
    about = {"date": record["date"], "peaks": record["peaks"]}
    dated = {name: {**row, **about} for name, row in record["rows"].items()}
    rows = {name: dated.get(name) or before[name] for name in order if name in dated or name in before}
    path.write_text(json.dumps({**record, "rows": rows}, indent=1) + "\n")
    (folder / PAGE).write_text(page(kept(folder)))


def kept(folder: Path = FOLDER) -> list[Record]:
    """What is kept of every card."""
    return [json.loads(path.read_text()) for path in sorted((folder / RECORDS).glob("*.json"))]


def page(records: Sequence[Record]) -> str:
    """The page of all cards."""
    lines = [
        "# On a GPU",
        "",
        "Training steps, extraction and exact search by mmx's own code, full size, drawn weights and data.",
        "Written by `python -m benchmarks.gpu`.",
        "",
    ]
    if not records:
        lines += [NONE_YET]
    for record in records:
        lines += [f"## {record['card']}", "", *_about(record), "", HEAD]
        lines += [line for row in record["rows"].values() for line in _lines(row, record["date"])]
        lines += ["", *_fed(record["rows"])]
    return "\n".join([*lines, "", *HOW]) + "\n"


HOW = """## How to read it

- A *call* is a step of training (from a batch in the processor's memory to new weights), four batches of an
  extraction (from decoded pictures or captions to a shard's tensors), or one search; the median, with
  quartiles, of the wall's time until the card has done all of it, after three untimed calls.
- TFLOP/s count products of matrices and convolutions (`torch.utils.flop_counter`, and cuDNN's GRU), as the
  plain code makes them. Their *peak* is a product of two random matrices of side 8192, in the same
  precision and run.
- GB/s *at least* count what must pass through the card's memory: of a training 28 bytes a trained parameter
  for AdamW, and the batch; of an extraction the pictures, and the weights once a batch; of a search its
  vectors. Their peak is a *copy* of 1 GiB, read and written.
- *Roofline*: the larger of the two shares. What it lacks to 100% is small kernels, waiting, and bytes of
  activations, which are not counted.
- fp32 is what `--precision fp32` computes in: products in float32; convolutions and cuDNN's GRU in TF32, as
  is torch's default (rows of convolutions are held against the peak of TF32). tf32: products too, which mmx
  does not ask for. bf16: autocast, the default of a training on such a card; `mmx extract` computes in
  fp32. Compiled: `torch.compile` of the encoders.
- *Waits*: how often the processor waits for the card within a call; where, is in the records.""".splitlines()


def _about(record: Record) -> Iterator[str]:
    yield f"{record['machine']}; torch {record['torch']}; {record['date']}."
    peaks = record["peaks"]
    if "failed" in peaks:
        yield f"Its peaks could not be measured: {peaks['failed']}"
        return
    vendor = VENDOR.get(record["card"])
    sheet = dict(zip(("fp32", "tf32", "bf16", "copy"), vendor, strict=True)) if vendor else {}
    parts = []
    for name, value in peaks.items():
        scale, unit = (1e12, "TFLOP/s") if name in ("fp32", "tf32", "bf16") else (1e9, "GB/s")
        said = sheet.get(name)
        beside = "" if said is None else f" (data sheet: {said * (1000 if name == 'copy' else 1):g})"
        parts.append(f"{name} {value / scale:.4g} {unit}{beside}")
    yield f"Peaks measured: {', '.join(parts)}."


def _lines(row: Record, latest: str) -> Iterator[str]:
    """Against the peaks of the run that the row is of."""
    peaks = row["peaks"]
    title = row["title"] if row["date"] == latest else f"{row['title']} ({row['date']})"
    for variant, found in row["variants"].items():
        if "failed" in found:
            yield f"| {title} | {variant} | {found['failed'].replace('|', '/')} |" + " |" * 8
        else:
            yield f"| {title} | {variant} | {' | '.join(_cells(row, variant, found, peaks))} |"
        title = ""


def _cells(row: Record, variant: str, found: Record, peaks: Record) -> Iterator[str]:
    median, (low, high) = found["median_s"], found["quartiles_s"]
    yield f"{_ms(median)} ({_ms(low)} to {_ms(high)})"
    yield f"{found['items'] / median:,.0f} {row['unit']}"
    rates = roofline(row, variant, found, peaks)
    yield f"{found['flops'] / median / 1e12:.3g}"
    yield "" if rates is None else f"{rates[0]:.0%}"
    yield f"{found['least_bytes'] / median / 1e9:.3g}"
    yield "" if rates is None else f"{rates[1]:.0%}"
    yield "" if rates is None else f"**{max(rates):.0%}**"
    yield "" if found["peak_mib"] is None else f"{found['peak_mib']:,.0f}"
    yield "" if found["waits"] is None else str(sum(found["waits"].values()))


def roofline(row: Record, variant: str, found: Record, peaks: Record) -> tuple[float, float] | None:
    """The shares of the peaks of arithmetic and of memory that are reached; None without peaks."""
    if "failed" in peaks:
        return None
    kind = "bf16" if variant.startswith("bf16") else variant
    peak = peaks["tf32" if kind == "fp32" and row["convolves"] else kind]
    return found["flops"] / found["median_s"] / peak, found["least_bytes"] / found["median_s"] / peaks["copy"]


def _fed(rows: Mapping[str, Record]) -> Iterator[str]:
    """How much longer a step takes with its batch read beside it."""
    for row in rows.values():
        for variant, found in row["variants"].items():
            if found.get("fed"):
                fed = found["fed"]["median_s"]
                ratio = f"{fed / found['median_s']:.2f} times as long"
                yield f"- {row['title']}, {variant}: {_ms(fed)} with its batch read beside it, {ratio}."


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms"
