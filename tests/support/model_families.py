"""Tiny models of many architectures, each with data: their losses are those of real models."""

import datasets
import numpy as np
import torch
import transformers as hf
from torch.nn import functional

N_SAMPLES, N_TOKENS, N_WORDS, N_CLASSES = 8, 5, 14, 3
_SIZES = {
    "vocab_size": N_WORDS,
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 16,
}
_NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
_EXPERTS = {"num_local_experts": 4, "output_router_logits": True, "router_aux_loss_coef": 1.0, "num_key_value_heads": 2}
_CLASS_WEIGHTS = (1.0, 4.0, 9.0)


def _bert_config(**changes):
    return hf.BertConfig(**_SIZES, **_NO_DROPOUT, **changes)


def _bert(kind, **changes):
    return kind(_bert_config(**changes))


def _t5(kind=hf.T5ForConditionalGeneration, config=hf.T5Config, **changes):
    sizes = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2, "dropout_rate": 0.0}
    return kind(config(vocab_size=N_WORDS, decoder_start_token_id=0, pad_token_id=0, **sizes, **changes))


def _bart():
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8}
    ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2}
    return hf.BartForConditionalGeneration(
        hf.BartConfig(vocab_size=N_WORDS, d_model=8, encoder_layers=1, decoder_layers=1, dropout=0.0, **heads, **ids)
    )


class WeightedClasses(hf.BertForSequenceClassification):
    """Class weights and label smoothing in ``forward``."""

    def forward(self, input_ids=None, attention_mask=None, labels=None):
        logits = super().forward(input_ids=input_ids, attention_mask=attention_mask).logits
        weight = torch.tensor(_CLASS_WEIGHTS, dtype=logits.dtype)
        return (functional.cross_entropy(logits, labels, weight=weight, label_smoothing=0.1), logits)


class MaskedMean(hf.BertForTokenClassification):
    """A mean over tokens that is computed by hand."""

    def forward(self, input_ids=None, attention_mask=None, labels=None):
        logits = super().forward(input_ids=input_ids, attention_mask=attention_mask).logits
        losses = functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
        return {"loss": losses.sum() / (labels != -100).sum(), "logits": logits}


class SelectedTokens(hf.BertForTokenClassification):
    """A loss of the tokens that have labels, taken out of their rows."""

    def forward(self, input_ids=None, attention_mask=None, labels=None):
        logits = super().forward(input_ids=input_ids, attention_mask=attention_mask).logits
        rows = labels != -100
        return {"loss": functional.cross_entropy(logits[rows], labels[rows]), "logits": logits}


class LearnedTemperature(hf.BertForSequenceClassification):
    """A factor of the loss that is learned (Kendall et al. 2018, multi-task uncertainty)."""

    def __init__(self, config):
        super().__init__(config)
        self.log_variance = torch.nn.Parameter(torch.tensor(0.3))

    def forward(self, input_ids=None, attention_mask=None, labels=None):
        output = super().forward(input_ids=input_ids, attention_mask=attention_mask, labels=labels)
        return {"loss": torch.exp(-self.log_variance) * output.loss + self.log_variance, "logits": output.logits}


class PenalizedLogits(hf.BertForSequenceClassification):
    """A penalty on the logits beside the cross-entropy."""

    def forward(self, input_ids=None, attention_mask=None, labels=None):
        output = super().forward(input_ids=input_ids, attention_mask=attention_mask, labels=labels)
        return {"loss": output.loss + 0.01 * output.logits.logsumexp(1).square().mean(), "logits": output.logits}


class OwnFormula(hf.BertForSequenceClassification):
    """A cross-entropy by a formula of its own."""

    def forward(self, input_ids=None, attention_mask=None, labels=None):
        logits = super().forward(input_ids=input_ids, attention_mask=attention_mask).logits
        return {"loss": -logits.log_softmax(1).gather(1, labels[:, None]).mean(), "logits": logits}


class SquaredLoss(hf.BertForSequenceClassification):
    """A loss that is not a sum over samples."""

    def forward(self, input_ids=None, attention_mask=None, labels=None):
        output = super().forward(input_ids=input_ids, attention_mask=attention_mask, labels=labels)
        return {"loss": output.loss**2, "logits": output.logits}


_RANDOM = np.random.default_rng(0)
_TOKENS = _RANDOM.integers(3, N_WORDS, (N_SAMPLES, N_TOKENS))
_CODES = _RANDOM.integers(0, N_CLASSES, N_SAMPLES)
_HIDDEN = _RANDOM.random((N_SAMPLES, N_TOKENS)) < 0.4
_HIDDEN[:, 2] = False
_NEXT = {"labels": np.where(_HIDDEN, -100, _TOKENS)}
_TAGS = {"labels": np.where(_HIDDEN, -100, _RANDOM.integers(0, N_CLASSES, _TOKENS.shape))}
_ONE = {"labels": _CODES}
_TARGETS = _RANDOM.normal(size=(N_SAMPLES, N_CLASSES)).astype(np.float32)
_CHOICES = {"input_ids": _RANDOM.integers(3, N_WORDS, (N_SAMPLES, 3, N_TOKENS)), **_ONE}
_SPANS = {"start_positions": _RANDOM.integers(0, 4, N_SAMPLES), "end_positions": _RANDOM.integers(0, 5, N_SAMPLES)}
# The loss of an answer that ends outside of the text is that of its start.
_OUTSIDE = _SPANS | {"end_positions": np.arange(N_SAMPLES)}
_MODERN = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1, "cls_token_id": 1, "sep_token_id": 1}
_SWITCH = {
    "num_experts": 2, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1, "num_decoder_layers": 1,
    "output_router_logits": True, "router_jitter_noise": 0.0,
}  # fmt: skip

FAMILIES = {
    "causal": (lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**_SIZES)), _NEXT),
    "router loss": (lambda: hf.MixtralForCausalLM(hf.MixtralConfig(**_SIZES, **_EXPERTS)), _NEXT),
    "encoder-decoder": (_t5, _NEXT),
    "encoder-decoder with routers": (
        lambda: _t5(hf.SwitchTransformersForConditionalGeneration, hf.SwitchTransformersConfig, **_SWITCH),
        _NEXT,
    ),
    "BART": (_bart, _NEXT),
    "masked words": (lambda: _bert(hf.BertForMaskedLM), _NEXT),
    "masked words taken out": (
        lambda: hf.ModernBertForMaskedLM(
            hf.ModernBertConfig(**_SIZES, **_MODERN, sparse_prediction=True, attn_implementation="eager")
        ),
        _NEXT,
    ),
    "tokens": (lambda: _bert(hf.BertForTokenClassification, num_labels=N_CLASSES), _TAGS),
    "classes": (lambda: _bert(hf.BertForSequenceClassification, num_labels=N_CLASSES), _ONE),
    "regression": (lambda: _bert(hf.BertForSequenceClassification, num_labels=1), {"labels": _TARGETS[:, 0]}),
    "several targets": (
        lambda: _bert(hf.BertForSequenceClassification, num_labels=N_CLASSES, problem_type="regression"),
        {"labels": _TARGETS},
    ),
    "several labels": (
        lambda: _bert(hf.BertForSequenceClassification, num_labels=N_CLASSES),
        {"labels": (_TARGETS > 0).astype(np.float32)},
    ),
    "choices": (lambda: _bert(hf.BertForMultipleChoice), _CHOICES),
    "answers": (lambda: _bert(hf.BertForQuestionAnswering), _SPANS),
    "answers outside": (lambda: _bert(hf.BertForQuestionAnswering), _OUTSIDE),
    "two heads": (lambda: _bert(hf.BertForPreTraining), {**_NEXT, "next_sentence_label": _CODES % 2}),
    "class weights": (lambda: _bert(WeightedClasses, num_labels=N_CLASSES), _ONE),
    "mean by hand": (lambda: _bert(MaskedMean, num_labels=N_CLASSES), _TAGS),
    "tokens taken out": (lambda: _bert(SelectedTokens, num_labels=N_CLASSES), _TAGS),
    "learned factor": (lambda: _bert(LearnedTemperature, num_labels=N_CLASSES), _ONE),
}
"""Name: a function that makes a model, and the columns of its data besides the words."""

REFUSED = {
    "reads its outputs outside of torch's loss functions as well": PenalizedLogits,
    "has no loss per sample that could be weighted: compute it by torch's loss functions": OwnFormula,
    "is not a weighted sum of losses": SquaredLoss,
}
"""The end of a message, and a model whose loss has no part for each sample."""


def make(name):
    """Return a model, always the same."""
    torch.manual_seed(0)
    return FAMILIES[name][0]()


def make_refused(kind):
    torch.manual_seed(0)
    return _bert(kind, num_labels=N_CLASSES)


def data(name):
    """Return the data set of a model."""
    return _dataset(FAMILIES[name][1])


def classified():
    """Return sentences with one label each."""
    return _dataset(_ONE)


def _dataset(columns):
    return datasets.Dataset.from_dict({"input_ids": _TOKENS, **columns})
