"""A pair of a preferred and a rejected text is one sample with one id and one weight (DPO)."""

import numpy as np
import pytest
import torch
from support.tiny_text_models import WORDS, arguments
from torch import nn
from torch.nn import functional
from transformers import Trainer

import hardsight as hs
from hardsight.integrations.huggingface import WeightedTrainer

PAIRS, LENGTH, BETA = 12, 5, 0.7
_rng = np.random.default_rng(3)
TOKENS = _rng.integers(1, len(WORDS), (PAIRS, 2, LENGTH))
WEIGHTS = np.linspace(0, 2, PAIRS)


class Unigrams(nn.Module):
    """The log-likelihood of texts by the frequency of words, starting from equal ones."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(len(WORDS)))

    def forward(self, input_ids):
        return functional.log_softmax(self.logits, 0)[input_ids].sum(-1)


class PairTrainer(Trainer):
    """The DPO loss of Rafailov et al. 2023 (eq. 7) with a uniform reference, which cancels."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None, **more):
        chosen, rejected = model(inputs["chosen"]), model(inputs["rejected"])
        loss = -functional.logsigmoid(BETA * (chosen - rejected)).mean()
        return (loss, {"chosen": chosen}) if return_outputs else loss


class WeightedPairTrainer(WeightedTrainer, PairTrainer):
    pass


def rows():
    return [{"chosen": torch.tensor(pair[0]), "rejected": torch.tensor(pair[1])} for pair in TOKENS]


def train(kind, folder, dataset, **more):
    """Return the parameters after one step of gradient descent on all pairs."""
    settings = {"max_steps": 1, "per_device_train_batch_size": PAIRS, "optim": "sgd", "learning_rate": 0.5}
    settings |= {"max_grad_norm": 0.0, "lr_scheduler_type": "constant", "remove_unused_columns": False}
    model = Unigrams()
    kind(model, arguments(folder, **settings), train_dataset=dataset, **more).train()
    return model.logits.detach()


def test_weights_of_one_train_as_without(tmp_path):
    plain = train(PairTrainer, tmp_path, rows())
    weighted = train(WeightedPairTrainer, tmp_path, hs.indexed(rows()), weighting=hs.Weighting(np.ones(PAIRS)))
    torch.testing.assert_close(weighted, plain, rtol=1e-6, atol=1e-7)


def test_a_step_with_weights_is_the_gradient_by_hand(tmp_path):
    weighted = train(WeightedPairTrainer, tmp_path, hs.indexed(rows()), weighting=hs.Weighting(WEIGHTS))
    counts = np.stack([[np.bincount(text, minlength=len(WORDS)) for text in pair] for pair in TOKENS])
    # At equal frequencies every pair has sigmoid(0) = 1/2, and the softmax terms of both texts cancel.
    gradient = -(WEIGHTS[:, None] * BETA / 2 * (counts[:, 0] - counts[:, 1])).mean(0)
    np.testing.assert_allclose(weighted.numpy(), -0.5 * gradient, rtol=1e-5, atol=1e-7)


def test_one_weight_per_text_is_refused(tmp_path):
    with pytest.raises(hs.InputError, match="ids"):
        train(WeightedPairTrainer, tmp_path, hs.indexed(rows()), weighting=hs.Weighting(np.ones(2 * PAIRS)))
