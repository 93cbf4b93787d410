"""The captioner: where it looks, and what its loss is of."""

import torch

from mmx.methods.muse.captioner import Captioner, caption_loss
from mmx.words.vocabulary import END, START
from tests.methods.muse.small import small_settings

WORDS = 12
MASK = torch.tensor([[True, True, True], [True, False, False]])


def make() -> tuple[Captioner, torch.Tensor]:
    settings = small_settings()
    torch.manual_seed(0)
    return Captioner(settings, WORDS).eval(), torch.randn(2, 3, settings.width)


def test_attention_sums_to_one_over_the_tokens_there_are() -> None:
    captioner, tokens = make()

    scores, attention = captioner(tokens, MASK, torch.tensor([[START, 4, 5, END], [START, 6, END, -1]]))

    assert scores.shape == (2, 3, WORDS)
    torch.testing.assert_close(attention.sum(2), torch.ones(2, 3))
    assert (attention[1, :, 1:] == 0).all()


def loss(captioner: Captioner, tokens: torch.Tensor, spoken: torch.Tensor) -> torch.Tensor:
    return caption_loss(**captioner.nll(tokens, MASK, spoken))


def test_padding_has_no_part_in_the_loss() -> None:
    captioner, tokens = make()
    spoken = torch.tensor([[START, 4, END], [START, 6, END]])
    longer = torch.cat([spoken, torch.full((2, 4), -1)], dim=1)

    torch.testing.assert_close(loss(captioner, tokens, longer), loss(captioner, tokens, spoken))


def test_the_loss_of_one_post_is_that_of_its_words_and_of_where_it_looked() -> None:
    captioner, tokens = make()
    spoken = torch.tensor([[START, 4, END]])
    scores, attention = captioner(tokens[:1], MASK[:1], spoken)

    wanted = -scores.log_softmax(-1)[0, [0, 1], [4, END]].mean() + ((1 - attention[0].sum(0)) ** 2).mean()

    torch.testing.assert_close(caption_loss(**captioner.nll(tokens[:1], MASK[:1], spoken)), wanted)


def test_it_learns_a_caption_by_heart_and_writes_it() -> None:
    captioner, tokens = make()
    spoken = torch.tensor([[START, 4, 7, 5, END], [START, 6, 8, END, -1]])
    optimizer = torch.optim.Adam(captioner.parameters(), lr=0.02)
    for _ in range(80):
        optimizer.zero_grad()
        loss(captioner, tokens, spoken).backward()
        optimizer.step()

    assert captioner.write(tokens, MASK, longest=6) == [[4, 7, 5], [6, 8]]
