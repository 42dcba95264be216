"""Losses of sequences, predicted in rows of their own and packed into rows: both are the same."""

import numpy as np
import pytest
import torch
from support.tiny_text_models import WORDS, arguments, reviews, tokenizer
from torch.nn import functional
from transformers import DataCollatorForLanguageModeling, DataCollatorWithFlattening, LlamaConfig, LlamaForCausalLM

import hardsight as hs
from hardsight.errors import InputError
from hardsight.learners.sequence_losses import SequenceLosses
from hardsight.weights.training.tokens import sequence_losses

SIZES = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}


def llama():
    return LlamaForCausalLM(LlamaConfig(vocab_size=len(WORDS), max_position_embeddings=64, **SIZES))


def measured(folder, collator, **changes):
    args = arguments(folder, max_steps=3, per_device_train_batch_size=4, learning_rate=0.01, **changes)
    data = reviews(24).remove_columns(["label", "sentence"])
    learner = hs.HuggingFace(llama, args, collator=collator)
    return hs.measure(data, learner=learner, folds=3, repeats=2, duplicates="apart")


@pytest.mark.slow
@pytest.mark.usefixtures("frozen_objects")
def test_batches_without_padding_are_measured_as_those_with_rows(tmp_path):
    expected = measured(tmp_path, DataCollatorForLanguageModeling(tokenizer(), mlm=False))
    assert np.ptp(expected.error) > 1e-3
    # Held-out parts of 8 sequences, in batches of 3, 3 and 2, and in one batch.
    for size in (3, 64):
        flat = measured(tmp_path, DataCollatorWithFlattening(), per_device_eval_batch_size=size)
        np.testing.assert_allclose(flat.error, expected.error, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("frozen_objects")
def test_collators_that_lose_sequences_are_refused(tmp_path):
    class WithoutTheLast(DataCollatorWithFlattening):
        def __call__(self, features, *args, **more):
            return super().__call__(features[: max(1, len(features) - 1)], *args, **more)

    with pytest.raises(
        InputError, match=r"the collator makes 2 sequences of 3 samples: use one that gives each sample a row"
    ):
        measured(tmp_path, WithoutTheLast(), per_device_eval_batch_size=3)


@pytest.mark.parametrize("shift", [True, False])
def test_packed_sequences_have_the_losses_of_single_ones(shift):
    generator = torch.Generator().manual_seed(0)
    lengths = (3, 1, 4, 2)
    sequences = [torch.randint(5, (length,), generator=generator) for length in lengths]
    logits = [torch.randn(length, 5, generator=generator) for length in lengths]
    # Two packed rows, the second one padded by two tokens.
    labels = torch.stack([torch.cat(sequences[:3]), torch.cat([sequences[3], torch.zeros(6, dtype=torch.int64)])])
    packed = torch.stack([torch.cat(logits[:3]), torch.cat([logits[3], torch.randn(6, 5, generator=generator)])])
    segments = torch.tensor([[0, 0, 0, 1, 2, 2, 2, 2], [3, 3, -1, -1, -1, -1, -1, -1]])
    before = labels.clone()
    total, count = sequence_losses(packed, labels, shift=shift, segments=segments)
    assert labels.equal(before)
    expected = [
        functional.cross_entropy(scores[: len(scores) - shift], words[shift:], reduction="sum")
        if len(words) > shift
        else 0.0
        for scores, words in zip(logits, sequences, strict=True)
    ]
    torch.testing.assert_close(total, torch.tensor(expected))
    assert count.tolist() == [length - shift for length in lengths]


@pytest.mark.parametrize("name", ["position_ids", "cu_seq_lens_q", "seq_idx"])
def test_every_way_to_say_where_sequences_start(name):
    class Echo(torch.nn.Module):
        def forward(self, input_ids, **_):
            return functional.one_hot(input_ids, 5).float()

    model = Echo()
    losses = SequenceLosses(model)
    tokens = torch.tensor([[1, 1, 2, 3, 3]])
    starts = {
        "position_ids": torch.tensor([[0, 1, 0, 1, 2]]),
        "cu_seq_lens_q": torch.tensor([0, 2, 5]),
        "seq_idx": torch.tensor([[0, 0, 1, 1, 1]]),
    }
    losses.start(2, 8)
    result = losses(model(input_ids=tokens, **{name: starts[name]}), tokens)
    logits = functional.one_hot(tokens[0], 5).float()
    first = functional.cross_entropy(logits[:1], tokens[0, 1:2])
    second = functional.cross_entropy(logits[2:4], tokens[0, 3:], reduction="sum")
    torch.testing.assert_close(result, torch.tensor([[first, 1], [second, 2]], dtype=torch.float64))
