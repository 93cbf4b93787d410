"""Words read in both directions, whatever stands beside them in the batch."""

import torch
from torch.nn import functional

from mmx.methods.mh_cvse.tokens import ProjectedTokens
from mmx.methods.mh_cvse.word_encoder import WordEncoder, _read_by_library, embed_words

V, W, D = 20, 6, 8


def encoder() -> WordEncoder:
    """In evaluation mode."""
    return WordEncoder(embed_words(V, W, None, None), D, dropout=0.4).eval()


def test_a_word_is_the_mean_of_both_directions_at_unit_length() -> None:
    reader, ids = encoder(), torch.tensor([[1, 7, 5, 2]])
    both = reader.reader(reader.embedding(ids))[0]
    expected = functional.normalize((both[..., :D] + both[..., D:]) / 2, dim=-1)

    torch.testing.assert_close(reader(ids, torch.ones(1, 4, dtype=torch.bool)), expected)


def test_captions_of_any_lengths_are_read_as_if_each_were_alone() -> None:
    reader, ids = encoder(), torch.randint(1, V, (3, 5))
    lengths = torch.tensor([2, 5, 3])
    mask = torch.arange(5) < lengths[:, None]

    together = reader(ids, mask)

    for row, length in enumerate(lengths.tolist()):
        alone = reader(ids[row : row + 1, :length], mask[row : row + 1, :length])
        torch.testing.assert_close(together[row, :length], alone[0])
    assert together[~mask].eq(0).all()


def test_pretrained_vectors_stand_where_they_were_found() -> None:
    vectors, found = torch.randn(V, 4), torch.arange(V) % 2 == 0

    weight = embed_words(V, W, vectors, found).weight

    assert weight.shape == (V, 4)
    assert torch.equal(weight[2::2], vectors[2::2])
    assert weight[1::2].abs().max() <= 0.1 and weight[1::2].abs().min() > 0
    assert weight[0].eq(0).all()


def test_projected_regions_have_unit_length_under_every_norm() -> None:
    features, mask = 5 * torch.randn(2, 3, W), torch.ones(2, 3, dtype=torch.bool)
    for norm in ("none", "layer", "standard"):
        tokens = ProjectedTokens(W, D, norm, 0.5, dropout=0.3).train()(features, mask)
        torch.testing.assert_close(tokens.norm(dim=-1), torch.ones(2, 3))


def test_the_plain_projection_is_the_linear_map_to_unit_length() -> None:
    embed, features = ProjectedTokens(W, D, "none", 1.0, dropout=0.0), torch.randn(2, 3, W)

    expected = functional.normalize(features @ embed.project.weight.T, dim=-1)

    torch.testing.assert_close(embed(features, torch.ones(2, 3, dtype=torch.bool)), expected)


def test_regions_that_are_not_there_have_no_part_in_standardising() -> None:
    embed = ProjectedTokens(W, D, "standard", 1.0, dropout=0.0).train()
    features, mask = torch.randn(4, 3, W), torch.tensor([[True, True, False]]).expand(4, 3)
    features[:, 2] = 1e4

    embed(features, mask)

    torch.testing.assert_close(embed.scale.mean, features[:, :2].flatten(0, 1).mean(0))


def test_the_library_reads_words_without_autocast_which_would_be_float16_on_a_card() -> None:
    words, seen = encoder(), []
    words.reader.register_forward_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))

    with torch.autocast("cpu", torch.bfloat16):
        read = _read_by_library(words.reader, torch.randn(2, 4, W), torch.ones(2, 4, dtype=torch.bool))

    assert seen == [False] and read.dtype == torch.float32
