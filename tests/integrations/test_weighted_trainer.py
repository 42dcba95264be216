"""Weights in the Trainer: one step by hand, accumulated gradients, checkpoints, and errors."""

import datasets
import numpy as np
import pytest
import torch
from support.tiny_text_models import (
    BagOfWords,
    Bigrams,
    arguments,
    bert,
    counts,
    gpt2,
    llama,
    reviews,
    tagged,
    tagger,
    tokenizer,
)
from torch.nn.functional import cross_entropy
from transformers import DataCollatorForLanguageModeling, DataCollatorForTokenClassification, Trainer

import hardsight as hs
from hardsight.integrations.huggingface import WeightedTrainer

pytestmark = pytest.mark.usefixtures("example_schemes", "frozen_objects")


N = 8
WEIGHTS = np.array([3.0, 0, 1, 0.5, 2, 1, 0.25, 4])


def trained(model, data, folder, weighting=None, *, language=False, kind=WeightedTrainer, **changes):
    """Return a trainer after training; by default plain descent on all samples at once."""
    more = {name: changes.pop(name) for name in ("sequence", "resume", "data_collator") if name in changes}
    resume = more.pop("resume", None)
    collator = DataCollatorForLanguageModeling(tokenizer(), mlm=False) if language else None
    trainer = kind(
        model,
        arguments(folder, **{"max_steps": 1} | changes),
        train_dataset=data,
        processing_class=tokenizer(),
        **{"data_collator": collator} | more,
        **({} if weighting is None else {"weighting": weighting}),
    )
    trainer.train(resume)
    return trainer


def parameters(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


def rows(data):
    return [torch.tensor(row) for row in data["input_ids"]]


def padded(data):
    sequences = rows(data)
    inputs = torch.zeros(len(sequences), max(map(len, sequences)), dtype=torch.long)
    for position, sequence in enumerate(sequences):
        inputs[position, : len(sequence)] = sequence
    return inputs


def stepped(model, loss):
    """Do one step of descent at rate 0.1 on a loss of the weights."""
    (gradient,) = torch.autograd.grad(loss(model.weight), [model.weight])
    return (model.weight - 0.1 * gradient).detach().flatten()


@pytest.mark.slow
def test_a_step_on_classes_is_that_of_the_weighted_mean(tmp_path):
    data = reviews(N)
    X, y, w = counts(padded(data)), torch.tensor(data["label"]), torch.tensor(WEIGHTS).float()
    by_hand = stepped(BagOfWords(), lambda v: (w * cross_entropy(X @ v, y, reduction="none")).sum() / N)
    for ready in (hs.indexed(data), data.add_column("hs_id", list(range(N)))):
        trainer = trained(BagOfWords(), ready, tmp_path, hs.Weighting(WEIGHTS))
        torch.testing.assert_close(parameters(trainer), by_hand)
    order = [5, 2, 7, 0, 1, 3, 4, 6]
    shuffled = data.add_column("hs_id", [10 * i for i in range(N)]).select(order)
    trainer = trained(BagOfWords(), shuffled, tmp_path, hs.Weighting(WEIGHTS, ids=[10 * i for i in range(N)]))
    torch.testing.assert_close(parameters(trainer), by_hand)


@pytest.mark.parametrize("sequence", ["tokens", "mean"])
def test_a_step_on_sequences_is_that_of_its_stated_mean(tmp_path, sequence):
    data = reviews(N).remove_columns("label")

    def loss(v):
        each = [cross_entropy(v[row[:-1]], row[1:], reduction="none") for row in rows(data)]
        parts = [w * (one.sum() if sequence == "tokens" else one.mean()) for w, one in zip(WEIGHTS, each, strict=True)]
        return sum(parts) / (N if sequence == "mean" else sum(map(len, each)))

    trainer = trained(Bigrams(), hs.indexed(data), tmp_path, hs.Weighting(WEIGHTS), language=True, sequence=sequence)
    torch.testing.assert_close(parameters(trainer), stepped(Bigrams(), loss))


def test_a_scheme_reads_the_mean_loss_of_a_sequence(tmp_path):
    data = reviews(N).remove_columns("label")

    def loss(v):
        each = [cross_entropy(v[row[:-1]], row[1:], reduction="none") for row in rows(data)]
        weigh = [(1 - torch.exp(-one.mean())).square().detach() for one in each]
        return sum(w * one.sum() for w, one in zip(weigh, each, strict=True)) / sum(map(len, each))

    trainer = trained(Bigrams(), hs.indexed(data), tmp_path, hs.Weighting("t-focal"), language=True)
    torch.testing.assert_close(parameters(trainer), stepped(Bigrams(), loss))


@pytest.mark.parametrize("sequence", ["tokens", "mean"])
@pytest.mark.parametrize("accumulate", [1, 4])
def test_a_scheme_that_is_a_loss_is_that_of_each_token(tmp_path, sequence, accumulate):
    data = reviews(N).remove_columns("label")

    def loss(v):
        p = [torch.softmax(v[row[:-1]], 1).gather(1, row[1:, None])[:, 0] for row in rows(data)]
        each = [(1 - one**0.7) / 0.7 for one in p]
        return torch.cat(each).mean() if sequence == "tokens" else torch.stack([one.mean() for one in each]).mean()

    how = {"per_device_train_batch_size": N // accumulate, "gradient_accumulation_steps": accumulate}
    weighting = hs.Weighting("gce-loss", q=0.7)
    trainer = trained(Bigrams(), hs.indexed(data), tmp_path, weighting, language=True, sequence=sequence, **how)
    torch.testing.assert_close(parameters(trainer), stepped(Bigrams(), loss), rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "sequence", "source"),
    [(False, "tokens", WEIGHTS), (False, "tokens", "t-focal-through"), (True, "tokens", WEIGHTS), (True, "mean", "t-focal")],
)
def test_four_batches_of_two_are_one_of_eight(tmp_path, language, sequence, source):
    data = reviews(N) if not language else reviews(N).remove_columns("label")

    def model():
        torch.manual_seed(0)
        return gpt2(0.0) if language else bert(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)

    def done(**changes):
        weighting = hs.Weighting(source)
        return parameters(
            trained(model(), hs.indexed(data), tmp_path, weighting, language=language, sequence=sequence, **changes)
        )

    one = done()
    four = done(per_device_train_batch_size=2, gradient_accumulation_steps=4)
    start = torch.cat([p.detach().flatten() for p in model().parameters()])
    assert (one - start).abs().max() > 1e-3
    torch.testing.assert_close(four, one, rtol=1e-5, atol=1e-7)


def test_an_epoch_that_does_not_divide_ends_with_a_step_of_its_own_mean(tmp_path):
    data = reviews(6)
    X, y = counts(padded(data)), torch.tensor(data["label"])
    w = torch.tensor(WEIGHTS[:6]).float()
    trainer = trained(
        BagOfWords(),
        hs.indexed(data),
        tmp_path,
        hs.Weighting(WEIGHTS[:6]),
        max_steps=2,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        train_sampling_strategy="sequential",
    )
    model = BagOfWords()
    for at in (slice(0, 4), slice(4, 6)):
        losses = lambda v, at=at: cross_entropy(X[at] @ v, y[at], reduction="none")  # noqa: E731
        model.weight.data = stepped(model, lambda v, at=at: (w[at] * losses(v)).mean()).view(-1, 2)  # noqa: B023
    torch.testing.assert_close(parameters(trainer), model.weight.detach().flatten())


@pytest.mark.slow
@pytest.mark.parametrize("language", [False, True])
def test_weights_of_one_are_the_plain_trainer(tmp_path, language):
    data = reviews(N) if not language else reviews(N).remove_columns("label")
    # The Trainer adds up the means of micro-batches of BERT, and counts the first tokens of GPT-2.
    how = {"max_steps": 6, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 1 + language}
    how["language"] = language

    def model():
        torch.manual_seed(0)
        return llama() if language else bert()

    plain = trained(model(), data, tmp_path, kind=Trainer, **how)
    ones = trained(model(), hs.indexed(data), tmp_path, hs.Weighting(np.ones(N)), **how)
    torch.testing.assert_close(parameters(ones), parameters(plain), rtol=1e-4, atol=1e-6)
    assert ones.state.log_history[-1]["train_loss"] == pytest.approx(plain.state.log_history[-1]["train_loss"], rel=1e-4)


def test_weights_of_one_are_the_plain_trainer_of_a_token_classifier(tmp_path):
    data, how = tagged(N), {"max_steps": 6, "data_collator": DataCollatorForTokenClassification(tokenizer())}
    plain = trained(tagger(), data, tmp_path, kind=Trainer, **how)
    ones = trained(tagger(), hs.indexed(data), tmp_path, hs.Weighting(np.ones(N)), **how)
    torch.testing.assert_close(parameters(ones), parameters(plain), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("how", ["classes", "tokens", "mean"])
def test_a_weighted_mean_of_fixed_weights_is_exact_over_micro_batches(tmp_path, how):
    data, language = reviews(N), how != "classes"
    if language:
        data = data.remove_columns("label")
    X = counts(padded(reviews(N)))
    y, w = torch.arange(N) % 2, torch.tensor(WEIGHTS).float()

    def loss(v):
        if not language:
            return (w * cross_entropy(X @ v, y, reduction="none")).sum() / w.sum()
        each = [cross_entropy(v[row[:-1]], row[1:], reduction="none") for row in rows(data)]
        sums = torch.stack([one.sum() if how == "tokens" else one.mean() for one in each])
        sizes = torch.tensor([len(one) if how == "tokens" else 1 for one in each])
        return (w * sums).sum() / (w * sizes).sum()

    def done(**changes):
        model, weighting = Bigrams() if language else BagOfWords(), hs.Weighting(WEIGHTS, reduction="weighted mean")
        more = {"language": language, "sequence": how if language else "tokens"}
        return trained(model, hs.indexed(data), tmp_path, weighting, **more, **changes)

    model = Bigrams() if language else BagOfWords()
    by_hand = stepped(model, loss)
    torch.testing.assert_close(parameters(done()), by_hand)
    four = done(per_device_train_batch_size=2, gradient_accumulation_steps=4)
    torch.testing.assert_close(parameters(four), by_hand, rtol=1e-5, atol=1e-7)
    train_loss = four.state.log_history[-1]["train_loss"]
    assert train_loss == pytest.approx(float(loss(model.weight.detach())), rel=1e-5)


def test_micro_batches_without_any_weight_are_a_step_of_zero(tmp_path):
    weighting = hs.Weighting(np.zeros(N), reduction="weighted mean")
    how = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    trainer = trained(BagOfWords(), hs.indexed(reviews(N)), tmp_path, weighting, **how)
    assert (parameters(trainer) == 0).all()


def test_a_weighted_mean_of_weights_computed_in_the_pass_needs_the_batch_at_once(tmp_path):
    data = reviews(N)
    X, y = counts(padded(data)), torch.tensor(data["label"])

    def loss(v):
        each = cross_entropy(X @ v, y, reduction="none")
        w = torch.softmax(each.detach(), 0)
        return (w * each).sum() / w.sum()

    weighting = hs.Weighting("t-tilted-mean", t=1.0)
    torch.testing.assert_close(
        parameters(trained(BagOfWords(), hs.indexed(data), tmp_path, weighting)), stepped(BagOfWords(), loss)
    )
    assert_refused(
        "a weighted mean over 4 micro-batches needs all weights first, but 't-tilted-mean' finds them in each",
        BagOfWords(),
        hs.indexed(data),
        tmp_path,
        weighting,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=4,
    )


class EpochRecorder(WeightedTrainer):
    def compute_loss(self, *args, **more):
        if self.model.training:
            self.epochs = [*getattr(self, "epochs", []), self.weighting.epoch]
        return super().compute_loss(*args, **more)


def test_it_knows_the_epoch_and_evaluates_unweighted(tmp_path):
    data = reviews(N)
    weighting = hs.Weighting("t-running", num_samples=N)
    how = {"max_steps": -1, "num_train_epochs": 2, "per_device_train_batch_size": 4, "per_device_eval_batch_size": 4}
    trainer = trained(BagOfWords(), hs.indexed(data), tmp_path, weighting, kind=EpochRecorder, **how)
    assert trainer.epochs == [0.0, 0.5, 1.0, 1.5]
    assert weighting.epochs == 2.0
    remembered = {name: value.clone() for name, value in weighting.state_dict().items() if torch.is_tensor(value)}
    assert (remembered["scheme_state.mean"] > 0).all()
    X, y = counts(padded(data)), torch.tensor(data["label"])
    expected = float(cross_entropy(X @ trainer.model.weight.detach(), y))
    for judged in (data, hs.indexed(data)):
        assert trainer.evaluate(judged)["eval_loss"] == pytest.approx(expected, rel=1e-5)
    assert all(torch.equal(remembered[name], value) for name, value in weighting.state_dict().items() if name in remembered)


@pytest.mark.slow
def test_resumed_training_goes_on_bit_for_bit(tmp_path):
    data = reviews(12)
    how = {
        "max_steps": 6,
        "per_device_train_batch_size": 4,
        "save_strategy": "steps",
        "save_steps": 4,
        "optim": "adamw_torch",
        "logging_strategy": "no",
    }

    def model():
        torch.manual_seed(0)
        return bert()

    def weighting():
        return hs.Weighting("t-running", num_samples=12)

    whole = trained(model(), hs.indexed(data), tmp_path, weighting(), **how)
    for resume in (True, str(tmp_path / "never" / "checkpoint-4")):
        torch.manual_seed(5)
        if resume is True:
            # The newest checkpoint must be the one in the middle.
            (tmp_path / "never" / "checkpoint-6").rename(tmp_path / "end")
        again = trained(model(), hs.indexed(data), tmp_path, weighting(), resume=resume, **how)
        assert torch.equal(parameters(again), parameters(whole))
        assert torch.equal(again.weighting.scheme_state.mean, whole.weighting.scheme_state.mean)
    (tmp_path / "never" / "checkpoint-4" / "weighting.pt").unlink()
    with pytest.raises(hs.InputError, match="checkpoint-4 was saved without a weighting"):
        trained(model(), hs.indexed(data), tmp_path, weighting(), resume=resume, **how)


def assert_refused(match, model, data, folder, weighting=None, **more):
    with pytest.raises(hs.InputError, match=match):
        trained(model, data, folder, hs.Weighting(WEIGHTS) if weighting is None else weighting, **more)


def test_bad_arguments_and_batches_are_refused(tmp_path):
    data, texts = reviews(N), reviews(N).remove_columns("label")
    assert_refused("the items have no 'hs_id': pass hs.indexed", BagOfWords(), data, tmp_path)
    assert_refused("weighting must be a hs.Weighting. Got str", BagOfWords(), data, tmp_path, "superloss")
    assert_refused("sequence must be one of tokens, mean. Got 'sum'", BagOfWords(), data, tmp_path, sequence="sum")
    assert_refused("leave out reduction='none'", BagOfWords(), data, tmp_path, hs.Weighting(WEIGHTS, reduction="none"))
    assert_refused("the batch has no labels", BagOfWords(), hs.indexed(texts), tmp_path)
    assert_refused(
        "has 8 samples, numbered by position, and the weighting knows 7",
        BagOfWords(),
        hs.indexed(data),
        tmp_path,
        hs.Weighting(WEIGHTS[:7]),
    )
    tilted = hs.Weighting("t-tilted", t=1.0)
    assert_refused(
        "sequence='tokens' needs the reduction 'mean', or 'weighted mean' with fixed weights. Got 'sum'",
        Bigrams(),
        hs.indexed(texts),
        tmp_path,
        tilted,
        language=True,
    )
    low = hs.Weighting("low")
    assert_refused(
        "'low' reads labels of samples with one label each", Bigrams(), hs.indexed(texts), tmp_path, low, language=True
    )
    floats = data.cast_column("label", datasets.Value("float32"))
    assert_refused(
        "the labels do not fit the outputs of the model: cross_entropy refuses them .* target torch.float32",
        BagOfWords(),
        hs.indexed(floats),
        tmp_path,
    )


def test_a_custom_loader_must_keep_the_ids(tmp_path):
    class Own(WeightedTrainer):
        def get_train_dataloader(self):
            return Trainer.get_train_dataloader(self)

    trained(BagOfWords(), hs.indexed(reviews(N)), tmp_path, hs.Weighting(WEIGHTS), kind=Own)
    with pytest.raises(hs.InputError, match=r"the batch has no ids \('hs_id'\): pass train_dataset=hs.indexed\(dataset\)"):
        trained(BagOfWords(), reviews(N), tmp_path, hs.Weighting(WEIGHTS), kind=Own)
