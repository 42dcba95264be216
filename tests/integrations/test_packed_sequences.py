"""Sequences packed into rows by real collators keep a weight each: as if every sequence had a row of its own."""

import numpy as np
import pytest
import torch
from support.tiny_text_models import Bigrams, arguments, reviews, tokenizer
from transformers import DataCollatorForLanguageModeling, DataCollatorWithFlattening

import hardsight as hs
from hardsight.errors import InputError
from hardsight.integrations.huggingface import WeightedTrainer
from hardsight.weights.training.packing import number_sequences

pytestmark = pytest.mark.usefixtures("frozen_objects")

N = 8
WEIGHTS = np.array([3.0, 0, 1, 0.5, 2, 1, 0.25, 4])


class PackedBigrams(Bigrams):
    """Takes what says where sequences start, as a model with FlashAttention does."""

    def forward(
        self, input_ids, attention_mask=None, labels=None, position_ids=None, cu_seq_lens_q=None, seq_idx=None, **other
    ):
        return super().forward(input_ids, labels=labels)


def trained(dataset, folder, collator, weighting=None, accumulate=1, **more):
    args = arguments(
        folder,
        max_steps=1,
        per_device_train_batch_size=len(dataset) // accumulate,
        gradient_accumulation_steps=accumulate,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        logging_strategy="no",
    )
    weighting = hs.Weighting(WEIGHTS) if weighting is None else weighting
    model = PackedBigrams()
    model.accepts_loss_kwargs = False
    trainer = WeightedTrainer(model, args, train_dataset=dataset, data_collator=collator, weighting=weighting, **more)
    trainer.train()
    return trainer.model.weight.detach()


def texts():
    return reviews(N).remove_columns(["label", "sentence"])


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"return_seq_idx": True, "return_position_ids": False},
        {"return_flash_attn_kwargs": True, "return_position_ids": False},
    ],
    ids=["positions", "numbers", "lengths"],
)
@pytest.mark.parametrize("sequence", ["tokens", "mean"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_flattened_batch_is_one_with_rows(tmp_path, how, sequence, accumulate):
    # The first token of a flattened sequence is predicted by none, as in a row of its own.
    rows = DataCollatorForLanguageModeling(tokenizer(), mlm=False)
    for weighting in (hs.Weighting(WEIGHTS), hs.Weighting("spl-linear", lam=3.0), hs.Weighting("gce-loss", q=0.7)):
        expected = trained(hs.indexed(texts()), tmp_path, rows, weighting, sequence=sequence)
        collator = DataCollatorWithFlattening(**how)
        packed = trained(hs.indexed(texts()), tmp_path, collator, weighting, accumulate, sequence=sequence)
        assert expected.abs().max() > 1e-3
        torch.testing.assert_close(packed, expected, rtol=1e-4, atol=1e-6)


def pack(sequences, numbers, width):
    """Pack sequences into rows from left to right, padded as trl pads them: positions by 0, labels by -100."""
    rows = []
    for sequence, number in zip(sequences, numbers, strict=True):
        if not rows or len(rows[-1]["input_ids"]) + len(sequence) > width:
            rows.append({"input_ids": [], "labels": [], "position_ids": [], "hs_id": []})
        rows[-1]["input_ids"] += sequence
        rows[-1]["labels"] += [-100, *sequence[1:]]
        rows[-1]["position_ids"] += range(len(sequence))
        rows[-1]["hs_id"].append(number)
    for row in rows:
        padding = width - len(row["input_ids"])
        row["attention_mask"] = [1] * len(row["input_ids"]) + [0] * padding
        for name, value in (("input_ids", 0), ("labels", -100), ("position_ids", 0)):
            row[name] = row[name] + [value] * padding
    return rows


def stack(items):
    return {name: torch.tensor([item[name] for item in items]) for name in items[0]}


def test_packed_rows_have_a_list_of_ids(tmp_path):
    rows = DataCollatorForLanguageModeling(tokenizer(), mlm=False)
    expected = trained(hs.indexed(texts()), tmp_path, rows)
    packed = pack(texts()["input_ids"], range(N), 16)
    assert 1 < len(packed) < N
    torch.testing.assert_close(trained(packed, tmp_path, stack), expected, rtol=1e-4, atol=1e-6)
    # Without labels of -100 at the start of each sequence, its first token would count for the sequence before it.
    one_too_few = [{**row, "hs_id": row["hs_id"][:-1]} for row in packed]
    with pytest.raises(InputError, match=r"the batch has \d ids and 8 sequences in \d packed rows: give each row"):
        trained(one_too_few, tmp_path, stack)


def test_packed_rows_without_positions_are_refused(tmp_path):
    packed = [{k: v for k, v in row.items() if k != "position_ids"} for row in pack(texts()["input_ids"], range(N), 16)]
    with pytest.raises(InputError, match=r"cannot tell which samples .* or packed rows with position_ids"):
        trained(packed, tmp_path, stack)


def test_sequences_are_numbered_by_positions_or_lengths():
    positions = torch.tensor([[0, 1, 2, 0, 0], [0, 0, 1, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    assert number_sequences(positions, attention_mask=mask).tolist() == [[0, 0, 0, 1, 2], [3, 4, 4, -1, -1]]
    # RoBERTa counts from 2; a row may be padded on the left.
    assert number_sequences(torch.tensor([[2, 3, 2, 3, 4]])).tolist() == [[0, 0, 1, 1, 1]]
    left = number_sequences(torch.tensor([[1, 1, 0, 1, 2]]), attention_mask=torch.tensor([[0, 0, 1, 1, 1]]))
    assert left.tolist() == [[-1, -1, 0, 0, 0]]
    assert number_sequences(cu_seqlens=[0, 2, 5]).tolist() == [[0, 0, 1, 1, 1]]
    with pytest.raises(InputError, match="pass position_ids or cu_seqlens="):
        number_sequences()
    with pytest.raises(InputError, match=r"cu_seqlens must grow from 0, \(sequence \+ 1,\). Got \[1, 3\]"):
        number_sequences(cu_seqlens=[1, 3])
    with pytest.raises(InputError, match=r"position_ids must be \(row, token\). Got the shape \(2,\)"):
        number_sequences(torch.tensor([0, 1]))
