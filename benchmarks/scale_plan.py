"""What 100 million pictures would take: bytes, operations, hours, money, memory, and the time of a query.

    python -m benchmarks.scale_plan > docs/scale.md
    python -m benchmarks.scale_plan --measure PHOTO.jpg ...

The first prints the page from the constants below, each with where it is from. The second measures those
again that this script itself measures, in seconds of processor time of one thread, and prints them as JSON.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PICTURES = 100e6
WIDTHS = (512, 2048)
"""Of one member, and of the four that the best run keeps in one vector."""
GPUS = (1, 2, 4, 8, 16, 32, 64)
SHARDS = (1, 4, 16, 64, 256)


@dataclass(frozen=True)
class Constant:
    """A number that the plan is computed from."""

    value: float
    unit: str
    mark: str
    """`measured`, `public` or `assumed`."""
    source: str


def vit_gflop(tokens: int, width: int, layers: int, patch: int) -> float:
    """Of one pass of a vision transformer: four products of width x width, two of width x 4 width, and the
    attention in each layer; the patches before. A multiplication with its addition counts two.
    """
    layer = 24 * tokens * width**2 + 4 * tokens**2 * width
    return (layers * layer + 2 * (tokens - 1) * 3 * patch**2 * width) / 1e9


SELF, TABLE = "this script, `--measure`", "benchmarks/README.md"
C = {
    "photo": Constant(139_000, "bytes a photo", "measured", f"{SELF}, 40 of Flickr8k in their own size"),
    "decode": Constant(4.3, "ms of a core to decode and shrink a photo", "measured", SELF),
    "lite": Constant(0.770, "GFLOP a picture, EfficientNet-Lite0 at 224", "measured", SELF),
    "b32": Constant(vit_gflop(50, 768, 12, 32), "GFLOP a picture, ViT-B/32 at 224", "public", "its widths"),
    "l14": Constant(vit_gflop(257, 1024, 24, 14), "GFLOP a picture, ViT-L/14 at 224", "public", "its widths"),
    "lite_cpu": Constant(37.7, "ms of a core a picture, EfficientNet-Lite0", "measured", SELF),
    "b32_cpu": Constant(109, "ms of a core a picture, ViT-B/32", "measured", f"{SELF}, random weights"),
    "core": Constant(83.3, "GFLOP/s of a core, float32 matrix product", "measured", SELF),
    "gpu": Constant(989, "TFLOP/s of a GPU, dense bf16", "public", "data sheet, NVIDIA H100 SXM"),
    "use": Constant(0.3, "of that is used by a tower", "assumed", "nothing here was measured on a GPU"),
    "cores": Constant(16, "cores beside each GPU", "assumed", ""),
    "price": Constant(3.0, "$ an hour of a GPU with its cores", "assumed", "prices differ and change"),
    "core_price": Constant(0.04, "$ an hour of a core alone", "assumed", "prices differ and change"),
    "grid": Constant(256_000, "bytes of a photo's grid of tokens", "measured", "`mmx extract` of Flickr8k"),
    "torch": Constant(219, "ms a query, 1,000,000 x 512, torch", "measured", TABLE),
    "codes": Constant(69, "ms a query, 1,000,000 x 512, exact through 8-bit codes", "measured", TABLE),
    "pq": Constant(5.12, "ms a query, 1,000,000 x 512, `pq`, recall 0.992", "measured", TABLE),
    "pq_build": Constant(9.8, "s to build `pq` for 1,000,000 x 512", "measured", TABLE),
    "pq_bytes": Constant(64, "bytes a picture, `pq` at 512", "measured", f"{TABLE}: 64 MB"),
    "code_bytes": Constant(516, "bytes a picture, 8-bit codes at 512", "measured", f"{TABLE}: 516 MB"),
    "hnsw_bytes": Constant(786, "bytes a picture, `hnsw` at 512", "measured", f"{TABLE}: 5.5 MB"),
    "lite_disk": Constant(16_634, "bytes a picture, file of Milvus at 2,048", "measured", TABLE),
    "lite_write": Constant(1.37, "ms of a core a picture to copy into a file of Milvus", "measured", TABLE),
    "merge": Constant(2, "ms to ask shards over a network and to merge", "assumed", ""),
}
TOWERS = {"EfficientNet-Lite0": "lite", "ViT-B/32": "b32", "ViT-L/14": "l14"}


def extraction_hours(tower: str, gpus: int) -> tuple[float, float]:
    """Of the GPUs alone, and of the cores beside them that decode."""
    operations = PICTURES * C[tower].value * 1e9
    computing = operations / (gpus * C["gpu"].value * 1e12 * C["use"].value) / 3600
    decoding = PICTURES * C["decode"].value / 1e3 / (gpus * C["cores"].value) / 3600
    return computing, decoding


def index_bytes(width: int) -> dict[str, tuple[float, str]]:
    """By kind: bytes of memory a picture, and how that is known."""
    share = width / 512
    return {
        "exact, float32 (what mmx keeps, memory-mapped)": (4 * width, "4 bytes a number"),
        "exact, float16 (mmx does not keep it)": (2 * width, "2 bytes a number"),
        "8-bit codes (scanned; the vectors stay on the disk)": (
            C["code_bytes"].value + width - 512,
            "measured at 512: 1 byte a number and 4 bytes",
        ),
        "`pq` (scanned; the vectors stay on the disk)": (C["pq_bytes"].value * share, "measured at 512"),
        "`hnsw` (graph over 8-bit vectors)": (C["hnsw_bytes"].value + width - 512, "measured at 512"),
        "Milvus, FLAT": (4 * width, "4 bytes a number, as its documentation counts"),
        "Milvus, HNSW with 32 neighbours": (4 * width + 2 * 32 * 4, "the vectors, and 64 links of 4 bytes"),
    }


def query_ms(kind: str, shards: int) -> float:
    """Of a query to shards that work at once, a core each: each scans its part."""
    return PICTURES / 1e6 * C[kind].value / shards + (C["merge"].value if shards > 1 else 0)


OPENING = """\
# 100 million pictures: the plan on paper

Made by `python -m benchmarks.scale_plan > docs/scale.md`. mmx has been run with 7,000 photos and with
1,000,000 vectors. What follows is computed from the constants of the last table, each of which is marked
**measured** (here, on one core of a shared server without a GPU), **public** or **assumed**; every other
figure is computed. Nothing was measured on a GPU, on a cluster of Milvus, or with 100 million pictures.
"""
GRIDS = """\
Grids are dearer to keep than the photos themselves: at this size they are computed again, and only
vectors are kept (`mmx index add DIR`); a second look keeps what it needs of the photos that searches came
near.
"""
FEEDING = """\
Towers and decoding run at once, so the slower counts. To keep one GPU busy takes {need}. Photos that were
shrunk once, or decoding on the GPU, would change that; neither is in mmx. Hours fall with the number of
GPUs and money does not, since shards (`mmx extract NAME --shard i/n`, `--engine ray`) share nothing but
the disk: it must give {one:.2f} GB/s for one GPU with ViT-B/32, and {many:.0f} GB/s for 64.

On a core ViT-B/32 runs at {vit:.0%} and EfficientNet-Lite0 at {lite:.0%} of what a matrix product reaches
there. The 30% of a GPU is an assumption for both, and kind to the second.

Without a GPU:
"""
BUILDING = """\
`pq` is built in {build:.2f} hours of one core, were that to go on in proportion. A cluster of Milvus
keeps what it searches in memory, once for each replica. A *file* of Milvus is for thousands of pictures:
100 million, 2,048 wide, would take {disk:.1f} TB of disk and {copy:,.0f} hours to copy. `mmx index copy`
and `verify` read all vectors of one index into memory, so that such a gallery is many folders, each with
an index and a collection of its own.
"""
SCANNING = """\
Milliseconds, 512 wide, a core a shard. A scan is proportional to what is scanned; the network is assumed.
"""
SHARING = """\
mmx answers a query in one process and has no shards of its own; a cluster of Milvus has, behind the same
`--index`, and its times were not measured. The recall of `pq` was measured at 1,000,000 (0.992, with 200
candidates scored again). At 100 million neighbours are nearer to each other and more candidates will be
needed; how many is not known. Each costs a read of one vector from the disk.
"""


def page() -> Iterator[str]:
    """The lines of docs/scale.md."""
    yield OPENING
    yield "## Bytes\n"
    sizes = [("the photos", C["photo"].value)]
    sizes += [(f"vectors, {width:,} wide, float32", 4 * width) for width in WIDTHS]
    sizes += [("grids of tokens, for methods that read regions", C["grid"].value)]
    yield from _table(
        ("what", "terabytes"), [(name, f"{PICTURES * size / 1e12:,.2f}") for name, size in sizes]
    )
    yield GRIDS
    yield "## Extraction\n"
    rows = [
        (name, f"{C[tower].value:.2f}", f"{PICTURES * C[tower].value * 1e9:.1e}")
        for name, tower in TOWERS.items()
    ]
    yield from _table(("tower", "GFLOP a picture", "FLOP in all"), rows)
    yield from _extraction()
    yield "## Memory of an index\n"
    yield from _index()
    yield "## Time of a query\n"
    yield SCANNING
    rows = [
        (
            shards,
            f"{PICTURES / shards / 1e6:,.1f}",
            *(f"{query_ms(kind, shards):,.0f}" for kind in ("torch", "codes", "pq")),
        )
        for shards in SHARDS
    ]
    columns = ("shards", "million pictures each", "product of torch", "exact through codes", "`pq`")
    yield from _table(columns, rows)
    yield SHARING
    yield "## Constants\n"
    rows = [
        (f"{one.value:,.4g}" if one.value < 1e4 else f"{one.value:,.0f}", one.unit, one.mark, one.source)
        for one in C.values()
    ]
    yield from _table(("value", "what", "mark", "from"), rows)


def _extraction() -> Iterator[str]:
    for name, tower in TOWERS.items():
        yield f"{name}, {C['cores'].value:g} cores beside each GPU:\n"
        rows = []
        for gpus in GPUS:
            computing, decoding = extraction_hours(tower, gpus)
            hours = max(computing, decoding)
            money = hours * gpus * C["price"].value
            rows.append((gpus, *(f"{time:.2g}" for time in (computing, decoding, hours)), f"{money:,.0f}"))
        yield from _table(("GPUs", "hours of the tower", "hours of decoding", "hours", "$"), rows)
    rate, decode = C["gpu"].value * 1e12 * C["use"].value, C["decode"].value / 1e3
    need = [f"{rate / (C[key].value * 1e9) * decode:,.0f} cores for {name}" for name, key in TOWERS.items()]
    one, many = (
        PICTURES * C["photo"].value / 3600e9 / max(extraction_hours("b32", gpus)) for gpus in (1, 64)
    )
    vit, lite = (C[key].value / C[f"{key}_cpu"].value * 1e3 / C["core"].value for key in ("b32", "lite"))
    yield FEEDING.format(need=", ".join(need), one=one, many=many, vit=vit, lite=lite)
    rows = []
    for name, key in (("EfficientNet-Lite0", "lite_cpu"), ("ViT-B/32", "b32_cpu")):
        hours = PICTURES * (C[key].value + C["decode"].value) / 1e3 / 3600
        rows.append((name, f"{hours:,.0f}", f"{hours / 1000:,.1f}", f"{hours * C['core_price'].value:,.0f}"))
    yield from _table(("tower", "hours of one core", "hours of 1,000 cores", "$"), rows)


def _index() -> Iterator[str]:
    kinds = {width: index_bytes(width) for width in WIDTHS}
    rows = [
        (kind, *(f"{PICTURES * kinds[width][kind][0] / 1e9:,.1f}" for width in WIDTHS), known)
        for kind, (_, known) in kinds[WIDTHS[0]].items()
    ]
    yield from _table(("kind", *(f"GB at {width:,}" for width in WIDTHS), "known from"), rows)
    build = PICTURES / 1e6 * C["pq_build"].value / 3600
    copy = PICTURES * C["lite_write"].value / 3600e3
    disk = PICTURES * C["lite_disk"].value / 1e12
    yield BUILDING.format(build=build, disk=disk, copy=copy)


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"
    yield ""


def processor_seconds(act: Callable[[], object], rounds: int) -> float:
    """Median seconds of processor time, after one call that does not count."""
    act()
    times = []
    for _ in range(rounds):
        began = time.process_time()
        act()
        times.append(time.process_time() - began)
    return statistics.median(times)


def measured(photos: Sequence[Path]) -> dict[str, float]:
    """The constants that this script measures, by their names above."""
    import timm
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    from mmx.store.images import load_image

    torch.set_num_threads(1)
    batch, found = torch.randn(16, 3, 224, 224), {}
    decode = processor_seconds(
        lambda: [load_image(path, (224, 224)).resize((224, 224)) for path in photos], 30
    )
    found["decode"] = 1e3 * decode / len(photos)
    found["photo"] = sum(path.stat().st_size for path in photos) / len(photos)
    towers = {
        "lite": timm.create_model("efficientnet_lite0", pretrained=False).eval(),
        "b32": CLIPVisionModelWithProjection(CLIPVisionConfig()).eval(),
    }
    with torch.inference_mode():
        for name, tower in towers.items():
            with FlopCounterMode(display=False) as counter:
                tower(batch)
            found[name] = counter.get_total_flops() / len(batch) / 1e9
            found[f"{name}_cpu"] = 1e3 * processor_seconds(lambda tower=tower: tower(batch), 5) / len(batch)
    square = torch.ones(1024, 1024)
    found["core"] = 2 * 1024**3 / processor_seconds(lambda: square @ square, 9) / 1e9
    return found


def main() -> None:
    """Print the page, or what was measured."""
    words = argparse.ArgumentParser()
    words.add_argument("--measure", nargs="+", type=Path, metavar="PHOTO")
    given = words.parse_args()
    text = "\n".join(page()) if given.measure is None else json.dumps(measured(given.measure), indent=1)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
