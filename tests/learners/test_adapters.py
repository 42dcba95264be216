"""Adapters on a frozen base, whose lower layers run once per sample."""

import pickle
import sys

import numpy as np
import pytest
import torch
from support.errors import rejects
from support.tiny_text_models import WORDS, BagOfWords, arguments, gpt2, reviews, tokenizer
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DataCollatorForLanguageModeling,
    GPT2Config,
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    T5Config,
    T5ForSequenceClassification,
    Trainer,
)

import hardsight as hs
from hardsight.data.from_hf_rows import rows_to_samples
from hardsight.learners.adapters import AdapterOptions, FrozenBase, LowerLayers
from hardsight.resampling.plan import Plan, block_codes, split_seed

pytestmark = pytest.mark.slow

FOLDS = {"folds": 2, "repeats": 2, "duplicates": "apart", "refine": False}
SIZES = {"vocab_size": len(WORDS), "pad_token_id": 0}


def bert(layers=3):
    size = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "max_position_embeddings": 16}
    return BertForSequenceClassification(BertConfig(**size, **SIZES, num_hidden_layers=layers))


def gpt2_classifier():
    return GPT2ForSequenceClassification(GPT2Config(**SIZES, n_positions=16, n_embd=8, n_layer=3, n_head=2))


def llama_classifier():
    size = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "num_hidden_layers": 3}
    return LlamaForSequenceClassification(LlamaConfig(**size, **SIZES))


@pytest.fixture
def args(tmp_path):
    return arguments(tmp_path, max_steps=6, per_device_train_batch_size=8, learning_rate=0.5)


def predictions_of(learner, data, n_members=2):
    """Return the held-out predictions of the first members of two folds, ``(member, sample, class)``."""
    blocks = block_codes(len(data))
    plan = Plan(hs.KFold(2, 2).split(None, blocks, split_seed(0)), blocks, 2, 0)
    parts = [plan.select(range(2), range(member, member + 1)) for member in range(n_members)]
    samples = rows_to_samples(data)
    return torch.stack([each.values for part in parts for each in learner.fit_predict(samples, part, lambda _: None)])


def lora(make, args, layers=1, **options):
    return hs.HuggingFace(make, args, processing_class=tokenizer(), adapters="lora", adapter_layers=layers, **options)


@pytest.mark.parametrize(("make", "layers"), [(bert, 1), (bert, 2), (gpt2_classifier, 2), (llama_classifier, 1)])
def test_with_the_cache_predictions_are_those_without_it(args, monkeypatch, make, layers):
    data = reviews(30)
    ran, look_up = [], LowerLayers.get
    monkeypatch.setattr(LowerLayers, "get", lambda *each: ran.append(look_up(*each) is not None) or look_up(*each))
    cached = predictions_of(lora(make, args, layers), data)
    # The base runs through all samples once, in four batches of eight at most. Everything after that is known.
    assert ran[:4] == [False] * 4
    assert all(ran[4:])
    monkeypatch.setattr(LowerLayers, "get", lambda *_: None)
    torch.testing.assert_close(predictions_of(lora(make, args, layers), data), cached, rtol=1e-4, atol=1e-5)


def test_the_base_never_changes_and_every_member_trains_its_own_adapters_and_classifier(args):
    members = []

    class Watched(Trainer):
        def train(self, *each, **options):
            if not members:
                self.before = {name: each.detach().clone() for name, each in self.model.named_parameters()}
            result = super().train(*each, **options)
            members.append({name: each.detach().clone() for name, each in self.model.named_parameters()})
            if len(members) == 1:
                members.insert(0, self.before)
            return result

    predictions_of(lora(bert, args, trainer=Watched), reviews(30))
    start, *trained = members
    assert len(trained) == 2
    own = {name for name in start if "lora_" in name or "classifier" in name or "pooler" in name}
    for member in trained:
        for name in start.keys() - own:
            assert torch.equal(member[name], trained[0][name]), name
    for name in own:
        # The first factor of an adapter starts at random, the second at zero.
        assert "lora_A" in name or not torch.equal(trained[0][name], start[name]), name
        assert not torch.equal(trained[0][name], trained[1][name]), name
    assert {name.split(".layer.")[1][0] for name in own if "lora_" in name} == {"2"}


def test_weights_reach_members_with_adapters(args):
    data = reviews(30)
    learner = lora(bert, args)
    d = hs.measure(data, learner=learner, **FOLDS)
    weighted = hs.measure(data, learner=learner, weights=np.linspace(0.1, 2, 30), **FOLDS)
    assert not np.allclose(d.error, weighted.error)
    assert d.factors is not None
    assert "LoRA adapters of rank 8 in the top layer" in learner.describe()


def test_sequences_of_a_language_model(args):
    collator = DataCollatorForLanguageModeling(tokenizer(), mlm=False)
    data = reviews(24).remove_columns("label")
    learner = hs.HuggingFace(gpt2, args, collator=collator, adapters="lora", adapter_layers=1)
    d = hs.measure(data, learner=learner, **FOLDS)
    assert np.isfinite(d.error).all()
    model = gpt2()
    base = FrozenBase(model, AdapterOptions(1, 8), 3)
    tokens = torch.tensor([[2, 3, 4, 9]])
    base.observe(model, lambda: model(input_ids=tokens))
    member = gpt2()
    base.prepare(member)
    trained = {name for name, each in member.named_parameters() if each.requires_grad}
    # What is above the layers is the last normalization; the output layer is that of the inputs, and stays.
    assert {name for name in trained if "lora_" not in name} == {"transformer.ln_f.weight", "transformer.ln_f.bias"}


def test_padding_does_not_change_what_is_cached():
    torch.manual_seed(0)
    model = bert(2).eval()
    base = FrozenBase(model, AdapterOptions(1, 4), 2)
    short, padded = torch.tensor([[2, 3, 9]]), torch.tensor([[2, 3, 9, 0, 0], [2, 4, 5, 6, 7]])
    mask = (padded > 0).long()
    with torch.no_grad():
        base.observe(model, lambda: model(input_ids=short, attention_mask=torch.ones_like(short)))
        expected = model(input_ids=padded[:1], attention_mask=mask[:1]).logits
        both = model(input_ids=padded, attention_mask=mask).logits
    torch.testing.assert_close(both[:1], expected)


def test_outputs_that_do_not_fit_into_memory_are_in_files(args, monkeypatch):
    data = reviews(30)
    inside = predictions_of(lora(bert, args), data, 1)
    monkeypatch.setattr("hardsight.io.memmap.free_memory", lambda: 2**10)
    assert torch.equal(predictions_of(lora(bert, args), data, 1), inside)


def test_what_cannot_have_adapters_is_one_line(args, monkeypatch):
    data = reviews(30)
    rejects("'lora' or None. Got 'ia3'", hs.HuggingFace, bert, args, adapters="ia3")
    rejects("adapter_layers must be", hs.HuggingFace, bert, args, adapters="lora", adapter_layers=0)
    rejects("adapter_rank must be", hs.HuggingFace, bert, args, adapters="lora", adapter_rank=0)
    rejects("adapter_layers must be 3 or less", hs.measure, data, learner=lora(bert, args, 4), **FOLDS)
    rejects("BagOfWords has no list of layers", hs.measure, data, learner=lora(BagOfWords, args), **FOLDS)
    monkeypatch.setitem(sys.modules, "peft", None)
    rejects(r"peft is not installed: pip install 'hardsight\[adapters\]'", lora, bert, args)


def test_models_of_two_stacks_are_refused(args):
    size = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2, "vocab_size": 11}
    learner = lora(lambda: T5ForSequenceClassification(T5Config(**size)), args)
    rejects("one stack of layers, and this one has two", hs.measure, reviews(30), learner=learner, **FOLDS)


class Skipping(BertForSequenceClassification):
    """A model that also reads what a lower layer returns, beside the layers."""

    def __init__(self):
        super().__init__(bert().config)
        self.read = {}
        self.bert.encoder.layer[0].register_forward_hook(lambda *each: self.read.update(lowest=each[2]))

    def forward(self, input_ids=None, attention_mask=None, labels=None):
        output = super().forward(input_ids=input_ids, attention_mask=attention_mask)
        logits = output.logits + self.read.pop("lowest", torch.zeros(len(input_ids), 1, 8))[:, 0, :2]
        loss = None if labels is None else torch.nn.functional.cross_entropy(logits, labels)
        return {"loss": loss, "logits": logits} if labels is not None else {"logits": logits}


def test_a_model_whose_layers_do_not_follow_each_other_alone_is_refused(args):
    rejects("cannot be run one without the other", hs.measure, reviews(30), learner=lora(Skipping, args), **FOLDS)


def test_a_member_does_not_depend_on_what_the_process_has_cached(args):
    """Parts of a plan start with an empty cache in other processes, and after a restart."""
    data, learner = reviews(30), lora(bert, args)
    samples, blocks = rows_to_samples(data), block_codes(30)
    plan = Plan(hs.KFold(2, 2).split(None, blocks, split_seed(0)), blocks, 2, 0)
    together = [each.values for each in learner.fit_predict(samples, plan.select(range(1)), lambda _: None)]
    copied = pickle.loads(pickle.dumps(plan))
    assert plan.cache
    assert not copied.cache
    (alone,) = learner.fit_predict(samples, copied.select(range(1), range(1, 2)), lambda _: None)
    assert torch.equal(alone.values, together[1])
