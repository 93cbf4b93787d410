"""A home with small runs whose words a tokenizer of a few pieces reads, one of them exported; built once."""

import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from mmx.core.home import Home
from mmx.core.reporter import SilentReporter
from mmx.workflows.export import ExportSettings, export
from mmx.workflows.method_settings import Wishes
from mmx.workflows.search import search
from mmx.workflows.search_settings import SearchSettings
from mmx.workflows.train import TrainSettings, train
from tests.workflows.explained_home import write_corpus

FOLDER = TemporaryDirectory(prefix="mmx-exported-")
"""Goes with the process."""
SIGNS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (
    *SIGNS,
    "a",
    "red",
    "green",
    "blue",
    "white",
    "square",
    "on",
    "the",
    "left",
    "right",
    ",",
    "##s",
    "m",
    "##an",
)
SMALL = ("epochs=1", "width=8")
RUNS = {
    "clip": ("attention-clip", ("text_encoder=file:{words}", "epochs=1", "width=8", "members=2")),
    "frozen-clip": ("attention-clip", ("epochs=1", "width=8", "image_encoder=random:vit")),
    "rank-pooled": (
        "mh-cvse",
        (
            *SMALL,
            "heads=2",
            "concepts=4",
            "text=encoder",
            "text_encoder=random:bert",
            "pooling=gpo",
            "mirror=true",
        ),
    ),
    "words": ("mh-cvse", (*SMALL, "heads=2", "concepts=4")),
    "aligned": (
        "region-align",
        ("fine_weight=0.5", "region_epochs=1", "head_epochs=1", "epochs=0", "width=8", "mirror=true"),
    ),
    "detector": ("mh-cvse", (*SMALL, "heads=2", "concepts=4", "image_encoder=random:faster-rcnn")),
}


def exported_home(folder: Path) -> tuple[Home, Path]:
    """A copy that a test may change, and a folder of photos that is indexed there."""
    shutil.copytree(_built().root, folder, symlinks=True)
    home, photos = Home(folder), folder / "photos"
    if not list(home.indexes.glob("*")):
        raise ValueError("nothing is indexed")
    # an index is known by where its photos lie, and by the run that made it
    shutil.rmtree(home.indexes)
    search(
        SearchSettings(query="a square", run=run_of(home, "clip"), folder=photos, home=home), SilentReporter()
    )
    return home, photos


def run_of(home: Home, name: str) -> Path:
    """A run of the home, trained when it is first asked for."""
    path, made = home.runs / name, _trained(name)
    if not path.exists():
        shutil.copytree(made, path)
    return path


def builder() -> Home:
    """The home that everything is made in; not to be changed."""
    return _built()


@cache
def _built() -> Home:
    home = Home(Path(FOLDER.name) / "home")
    write_corpus(home)
    write_words(home.root / "words")
    photos = home.root / "photos"
    photos.mkdir()
    for number, colour in enumerate(("red", "green", "blue", "white", "black", "yellow", "grey")):
        Image.new("RGB", (40 + number, 30), colour).save(photos / f"{number}-{colour}.png")
    _train(home, "clip")
    export(ExportSettings(home.runs / "clip", home=home), SilentReporter())
    search(
        SearchSettings(query="a square", run=home.runs / "clip", folder=photos, home=home), SilentReporter()
    )
    return home


@cache
def _trained(name: str) -> Path:
    home = _built()
    if not (home.runs / name).exists():
        _train(home, name)
    return home.runs / name


def _train(home: Home, name: str) -> None:
    method, assignments = RUNS[name]
    words = home.root / "words"
    wishes = Wishes(preset="tiny", assignments=tuple(one.format(words=words) for one in assignments))
    settings = TrainSettings(method, "drawn", wishes, 0, "cpu", out=home.runs / name, home=home.root)
    train(settings, SilentReporter())


def write_words(folder: Path) -> None:
    """A tiny BERT with drawn weights, and a tokenizer of word pieces, as transformers saves them."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=24, **sizes)).save_pretrained(folder)
    numbers = {word: number for number, word in enumerate(WORDS)}
    made = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    signs = {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    PreTrainedTokenizerFast(tokenizer_object=made, **signs).save_pretrained(folder)
