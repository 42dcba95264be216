"""Weights of whole sequences from logits and labels of their tokens, in a plain training loop."""

import pytest
import torch
from torch.nn.functional import cross_entropy

import hardsight as hs

pytestmark = pytest.mark.usefixtures("example_schemes")

ROWS, TOKENS, WORDS = 5, 6, 7
LENGTHS = (6, 1, 4, 0, 3)
"""How many tokens of each sequence count; one sequence has none."""


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(ROWS, TOKENS, WORDS, generator=generator, dtype=torch.float32) * 2
    labels = torch.randint(WORDS, (ROWS, TOKENS), generator=generator)
    for row, length in enumerate(LENGTHS):
        # Tokens that count need not come first.
        labels[row, : TOKENS - length] = -100
    return {"logits": logits.requires_grad_(), "labels": labels}


def loss_by_hand(batch, token_loss=lambda p: -p.log()):
    """Return the mean over the tokens of each sequence, one token at a time."""
    result = []
    for row in range(ROWS):
        positions = [part for part in range(TOKENS) if batch["labels"][row, part] != -100]
        p = [torch.softmax(batch["logits"][row, part], 0)[batch["labels"][row, part]] for part in positions]
        result.append(torch.stack([token_loss(token_p) for token_p in p]).mean() if p else torch.zeros(()))
    return torch.stack(result)


def assert_same(result, expected, logits):
    torch.testing.assert_close(result, expected)
    gradient, expected_gradient = (
        torch.autograd.grad(each.sum(), logits, retain_graph=True)[0] for each in (result, expected)
    )
    torch.testing.assert_close(gradient, expected_gradient)


def test_fixed_weights_weigh_the_mean_loss_of_the_tokens(batch):
    w = torch.tensor([3.0, 0.5, 1, 2, 0])
    result = hs.Weighting(w)(ids=torch.arange(ROWS), **batch)
    assert_same(result, (w * loss_by_hand(batch)).mean(), batch["logits"])
    token_p = hs.Weighting(w, reduction="none")(ids=torch.arange(ROWS), **batch)
    assert_same(token_p, w * loss_by_hand(batch), batch["logits"])
    part = hs.Weighting(w)(ids=torch.arange(ROWS), items=20, **batch)
    torch.testing.assert_close(part, result * ROWS / 20)


@pytest.mark.parametrize("through", [False, True])
def test_schemes_read_the_geometric_mean_of_the_tokens_as_p(batch, through):
    loss = loss_by_hand(batch)
    w = (1 - torch.exp(-loss)) ** 2
    result = hs.Weighting("t-focal", through=through)(**batch)
    assert_same(result, ((w if through else w.detach()) * loss).mean(), batch["logits"])


def test_weights_first_and_then_the_loss_of_parts(batch):
    weighting = hs.Weighting("t-running-mean", num_samples=ROWS)
    w = weighting.weights(ids=torch.arange(ROWS), **batch)
    loss = loss_by_hand(batch)
    parts = [weighting.apply_weights(loss[part], w[part]) for part in (slice(0, 2), slice(2, 5))]
    torch.testing.assert_close(sum(parts), (w * loss).sum() / w.sum())
    other = hs.Weighting("t-running-mean", num_samples=ROWS)
    torch.testing.assert_close(other(ids=torch.arange(ROWS), **batch), sum(parts))


def test_a_scheme_that_is_a_loss_is_averaged_over_the_tokens(batch):
    gce = loss_by_hand(batch, lambda p: (1 - p**0.7) / 0.7)
    assert_same(hs.Weighting("gce-loss", q=0.7)(**batch), gce.mean(), batch["logits"])
    sizes = torch.arange(1.0, WORDS + 1)
    result = hs.Weighting("t-margin", sizes=sizes, reduction="none")(**batch)
    shifted = {"logits": batch["logits"] - sizes.log(), "labels": batch["labels"]}
    assert_same(result, loss_by_hand(shifted), batch["logits"])


def test_superloss_knows_the_words_as_classes(batch):
    loss = loss_by_hand(batch).detach()
    expected = hs.Weighting("superloss")(loss, logits=torch.zeros(ROWS, WORDS))
    torch.testing.assert_close(hs.Weighting("superloss")(**batch).detach(), expected)


def test_evaluation_is_the_plain_mean_over_sequences(batch):
    for source in ("gce-loss", "t-focal", torch.rand(ROWS)):
        torch.testing.assert_close(hs.Weighting(source).eval()(**batch), loss_by_hand(batch).mean())


def test_a_loss_that_is_given_is_weighed_as_it_is(batch):
    w = torch.rand(ROWS)
    total = cross_entropy(batch["logits"].transpose(1, 2), batch["labels"], ignore_index=-100, reduction="none").sum(1)
    result = hs.Weighting(w)(total, torch.arange(ROWS), **batch)
    assert_same(result, (w * total).mean(), batch["logits"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_adds_up_in_float32(batch, dtype):
    short = {"logits": batch["logits"].to(dtype), "labels": batch["labels"]}
    for source in ("gce-loss", "t-focal"):
        result = hs.Weighting(source)(**short)
        assert result.dtype == torch.float32
        full = hs.Weighting(source)(logits=short["logits"].float(), labels=short["labels"])
        torch.testing.assert_close(result, full)


def test_what_sequences_do_not_have_is_refused(batch):
    for source, arguments, message in (
        (
            "low",
            {},
            "'low' reads labels of samples with one label each, not of sequences of tokens: use a scheme that reads",
        ),
        ("t-past", {"num_samples": ROWS, "classes": WORDS}, "'t-past' reads a state of samples with one label each"),
        ("jocor-loss", {"rate": 0.2}, "'jocor-loss' reads peer_logits of samples with one label each"),
    ):
        more = {"peer_logits": batch["logits"]} if source == "jocor-loss" else {}
        with pytest.raises(hs.InputError, match=message):
            hs.Weighting(source, **arguments)(ids=torch.arange(ROWS), **more, **batch)
    for source in ("gce-loss", "t-focal"):
        with pytest.raises(hs.InputError, match=r"logits of tokens need labels \(row, token\)"):
            hs.Weighting(source)(logits=batch["logits"])
        with pytest.raises(hs.InputError, match=r"Got \(5, 6, 7\) for \(5,\)"):
            hs.Weighting(source)(logits=batch["logits"], labels=batch["labels"][:, 0])
