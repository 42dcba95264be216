"""Texts of a few words, and models small enough to train many of them."""

import datasets
import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from torch.nn import functional
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertForTokenClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    TrainingArguments,
)

WORDS = ["[PAD]", "[UNK]", "the", "film", "was", "and", "very", "good", "fine", "bad", "poor"]


def tokenizer():
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")


def reviews(n, seed=0):
    """Return sentences of three to seven words whose last word gives the label."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    sentences = [[*rng.choice(WORDS[2:7], rng.integers(2, 7)), rng.choice(WORDS[7 + 2 * c : 9 + 2 * c])] for c in labels]
    tokens = [[WORDS.index(word) for word in words] for words in sentences]
    return datasets.Dataset.from_dict(
        {"sentence": [" ".join(words) for words in sentences], "input_ids": tokens, "label": labels.tolist()}
    )


class BagOfWords(nn.Module):
    """Logistic regression on word counts, starting from zero."""

    def __init__(self, outputs=2):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(len(WORDS), outputs))

    def forward(self, input_ids, attention_mask=None, labels=None):
        logits = counts(input_ids) @ self.weight
        if labels is None:
            return {"logits": logits}
        loss = (
            functional.mse_loss(logits[:, 0], labels) if logits.shape[1] == 1 else functional.cross_entropy(logits, labels)
        )
        return {"loss": loss, "logits": logits}


class Bigrams(nn.Module):
    """A language model that reads the previous word, starting from zero."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(len(WORDS), len(WORDS)))

    def forward(self, input_ids, attention_mask=None, labels=None):
        logits = self.weight[input_ids]
        if labels is None:
            return {"logits": logits}
        loss = functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        return {"loss": loss, "logits": logits}


def counts(input_ids):
    """Count the words of each row, without padding."""
    table = torch.zeros(len(input_ids), len(WORDS)).scatter_add_(1, input_ids, torch.ones(input_ids.shape))
    table[:, 0] = 0
    return table


def bert(kind=BertForSequenceClassification, **changes):
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=16,
        **changes,
    )
    return kind(config)


def tagger():
    """Return a classifier of words."""
    torch.manual_seed(0)
    return bert(BertForTokenClassification, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def tagged(n):
    """Return the sentences of ``reviews``, with the labels 1 for judging words and 0 for the others."""
    rows = reviews(n)["input_ids"]
    return datasets.Dataset.from_dict({"input_ids": rows, "labels": [[int(word >= 7) for word in row] for row in rows]})


def gpt2(dropout=0.1):
    config = GPT2Config(
        vocab_size=len(WORDS),
        n_positions=16,
        n_embd=8,
        n_layer=1,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
    )
    return GPT2LMHeadModel(config)


def llama():
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=16,
        attention_dropout=0.1,
        bos_token_id=0,
        eos_token_id=0,
    )
    return LlamaForCausalLM(config)


def arguments(folder, **changes):
    """Return arguments for plain gradient descent on all samples at once, with changes."""
    defaults = {
        "optim": "sgd",
        "learning_rate": 0.1,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0,
        "max_steps": 3,
        "per_device_train_batch_size": 1000,
        "use_cpu": True,
        "report_to": [],
        "disable_tqdm": True,
        "save_strategy": "no",
        "dataloader_pin_memory": False,
    }
    return TrainingArguments(output_dir=str(folder / "never"), **defaults | changes)
