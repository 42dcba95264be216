"""Cross-fitting with a Trainer, on models small enough to be trained by hand beside it."""

import io
import random
import tempfile
from dataclasses import replace

import datasets
import numpy as np
import pytest
import torch
from rich.console import Console
from support.errors import raises_in_one_line
from support.tiny_text_models import (
    WORDS,
    BagOfWords,
    Bigrams,
    arguments,
    bert,
    counts,
    gpt2,
    reviews,
    tagged,
    tagger,
    tokenizer,
)
from torch.nn import functional
from transformers import DataCollatorForLanguageModeling, DataCollatorForTokenClassification, Trainer

import hardsight as hs
from hardsight.cli.summary import print_summary, summary_json
from hardsight.data.from_hf_rows import rows_to_samples
from hardsight.resampling.plan import Plan, block_codes, split_seed
from hardsight.weights.training.tokens import predicts_next_token, sequence_losses

pytestmark = [pytest.mark.usefixtures("frozen_objects"), pytest.mark.slow]

FOLDS = {"folds": 3, "repeats": 2, "duplicates": "apart"}


@pytest.fixture
def args(tmp_path):
    return arguments(tmp_path)


def language(model, args, **more):
    return hs.HuggingFace(model, args, collator=DataCollatorForLanguageModeling(tokenizer(), mlm=False), **more)


def texts(n, seed=0):
    return reviews(n, seed).remove_columns("label")


def padded(rows):
    longest = max(map(len, rows))
    return torch.tensor([row + [0] * (longest - len(row)) for row in rows])


def parts(labels, n, seed=0):
    """The assignment of samples to training and held-out parts, by the splits alone."""
    for index, (fold, members) in enumerate(hs.KFold(3, 2).split(labels, block_codes(n), split_seed(seed))):
        for k in range(members):
            yield index, np.flatnonzero(fold != k), np.flatnonzero(fold == k)


def descended(model, loss, steps=3, rate=0.1):
    for _ in range(steps):
        (gradient,) = torch.autograd.grad(loss(model.weight), [model.weight])
        model.weight.data -= rate * gradient
    return model.weight.detach()


def test_log_probabilities_are_those_of_a_model_trained_by_hand_without_the_sample(args):
    data = reviews(30)
    X, y = counts(padded(data["input_ids"])), torch.tensor(data["label"])
    d = hs.measure(data, learner=hs.HuggingFace(BagOfWords, args, processing_class=tokenizer()), **FOLDS)
    expected = torch.zeros(2, 30)
    for index, train, held_out in parts(np.array(data["label"]), 30):
        w = descended(BagOfWords(), lambda w, at=train: functional.cross_entropy(X[at] @ w, y[at]))
        expected[index, held_out] = functional.cross_entropy(X[held_out] @ w, y[held_out], reduction="none")
    np.testing.assert_allclose(d.error, expected.mean(0), rtol=1e-5)
    assert d.classes == (0, 1)
    assert d.factors is not None
    np.testing.assert_allclose(d.error, d.bias + d.variance)


@pytest.mark.parametrize("sequence", ["mean", "sum"])
def test_losses_of_sequences_are_those_of_a_model_trained_by_hand_without_them(args, sequence):
    data = texts(24)
    rows = [torch.tensor(row) for row in data["input_ids"]]
    d = hs.measure(data, learner=language(Bigrams, args, sequence=sequence), **FOLDS)
    expected = np.zeros((2, 24))
    for index, train, held_out in parts(None, 24):
        before = torch.cat([rows[i][:-1] for i in train])
        after = torch.cat([rows[i][1:] for i in train])
        w = descended(Bigrams(), lambda w, b=before, a=after: functional.cross_entropy(w[b], a))
        for i in held_out:
            expected[index, i] = functional.cross_entropy(w[rows[i][:-1]], rows[i][1:], reduction=sequence)
    np.testing.assert_allclose(d.error, expected.mean(0), rtol=1e-5)
    assert np.isnan(d.bias).all()
    assert np.isnan(d.variance).all()
    assert d.settings["loss"] == {"mean": "per-token log", "sum": "sequence log"}[sequence]


def test_numbers_to_predict(args):
    data = reviews(30).map(lambda row: {"label": float(len(row["input_ids"])) + 0.5 * row["label"]})
    X, y = counts(padded(data["input_ids"])), torch.tensor(data["label"])
    learner = hs.HuggingFace(lambda: BagOfWords(1), args, processing_class=tokenizer())
    args.learning_rate = 0.01
    d = hs.measure(data, learner=learner, **FOLDS)
    assert d.regression
    expected = torch.zeros(2, 30)
    for index, train, held_out in parts(None, 30):
        w = descended(BagOfWords(1), lambda w, at=train: functional.mse_loss((X[at] @ w)[:, 0], y[at]), rate=0.01)
        expected[index, held_out] = ((X[held_out] @ w)[:, 0] - y[held_out]).square()
    np.testing.assert_allclose(d.error, expected.mean(0), rtol=1e-4)


def test_sequences_of_a_real_model_are_judged_as_it_judges_them_one_by_one():
    torch.manual_seed(0)
    model = gpt2().eval()
    rows = reviews(5)["input_ids"]
    inputs = padded(rows)
    labels = torch.where(inputs == 0, -100, inputs)
    total, count = sequence_losses(model(inputs).logits, labels, shift=predicts_next_token(model))
    own = [model(torch.tensor([row]), labels=torch.tensor([row])).loss.item() for row in rows]
    np.testing.assert_allclose((total / count).detach(), own, rtol=1e-5)
    assert count.tolist() == [len(row) - 1 for row in rows]


def test_tokens_that_are_classified_are_judged_as_the_model_judges_them(tmp_path):
    data, still = tagged(12), arguments(tmp_path, learning_rate=0.0, max_steps=1)
    learner = hs.HuggingFace(tagger, still, collator=DataCollatorForTokenClassification(tokenizer()))
    d = hs.measure(data, learner=learner, **FOLDS)
    model = tagger().eval()
    own = [model(torch.tensor([row["input_ids"]]), labels=torch.tensor([row["labels"]])).loss.item() for row in data]
    np.testing.assert_allclose(d.error, own, rtol=1e-5)


def test_which_models_answer_in_place():
    class Speaks:
        loss_type = "ForMaskedLM"

    class Translates:
        config = type("Config", (), {"is_encoder_decoder": True})

    assert predicts_next_token(gpt2())
    assert predicts_next_token(Bigrams())
    assert not predicts_next_token(Speaks())
    assert not predicts_next_token(Translates())
    logits, labels = torch.zeros(2, 4, 3), torch.tensor([[0, 1, 2, -100], [-100, -100, -100, -100]])
    assert [each.tolist() for each in sequence_losses(logits, labels, shift=False)] == [
        pytest.approx([3 * np.log(3), 0]),
        [3, 0],
    ]


WEIGHTS = np.array([0.0, 1, 3, 0.5, 2, 0] * 4)


@pytest.mark.parametrize("kind", ["classes", "numbers", "tokens"])
def test_members_are_trained_by_the_weighted_mean_of_their_loss(args, kind):
    data, steps = reviews(24), {"classes": 0.1, "numbers": 0.01, "tokens": 0.1}
    X, y = counts(padded(data["input_ids"])), torch.tensor(data["label"])
    rows = [torch.tensor(row) for row in data["input_ids"]]
    args.learning_rate = steps[kind]
    if kind == "numbers":
        data = data.map(lambda row: {"label": float(len(row["input_ids"])) + 0.5 * row["label"]})
        y = torch.tensor(data["label"])
    learner = hs.HuggingFace(lambda: BagOfWords(1 if kind == "numbers" else 2), args, processing_class=tokenizer())
    if kind == "tokens":
        data, learner = data.remove_columns("label"), language(Bigrams, args)

    def each(weight, at):
        if kind == "classes":
            return functional.cross_entropy(X[at] @ weight, y[at], reduction="none")
        if kind == "numbers":
            return ((X[at] @ weight)[:, 0] - y[at]).square()
        return torch.stack([functional.cross_entropy(weight[rows[i][:-1]], rows[i][1:], reduction="sum") for i in at])

    def trained_on(weight, at):
        w = torch.tensor(WEIGHTS[at] / WEIGHTS[at].mean()).float()
        counted = len(at) if kind != "tokens" else sum(len(rows[i]) - 1 for i in at)
        return (w * each(weight, at)).sum() / counted

    d = hs.measure(data.add_column("count", WEIGHTS), learner=learner, weights="count", **FOLDS)
    expected = np.zeros((2, 24))
    for index, train, held_out in parts(np.array(data["label"]) if kind == "classes" else None, 24):
        model = {"classes": BagOfWords, "numbers": lambda: BagOfWords(1), "tokens": Bigrams}[kind]()
        weight = descended(model, lambda w, at=train: trained_on(w, at), rate=steps[kind])
        found = each(weight, held_out)
        expected[index, held_out] = found / torch.tensor([len(rows[i]) - 1 for i in held_out]) if kind == "tokens" else found
    np.testing.assert_allclose(d.error, expected.mean(0), rtol=1e-4)
    assert d.settings["recipe"].endswith("; training samples weighted")


def test_weights_that_are_all_alike_are_no_weights(tmp_path):
    how = arguments(tmp_path, per_device_train_batch_size=4, num_train_epochs=2, max_steps=-1)
    learner = hs.HuggingFace(bert, how, processing_class=tokenizer())
    plain = hs.measure(reviews(24), learner=learner, **FOLDS, refine=False)
    alike = hs.measure(reviews(24), learner=learner, weights=[2.0] * 24, **FOLDS, refine=False)
    np.testing.assert_allclose(alike.error, plain.error, rtol=1e-5)


def test_a_second_round_of_texts_doubts_fewer_right_labels(tmp_path, monkeypatch):
    # Whether the round counts is a question of the label model, not of the learner.
    monkeypatch.setattr("hardsight.estimation.reweighted_rounds._explains_noise", lambda *_: True)
    data, wrong = reviews(60), np.arange(0, 60, 7)
    labels = np.array(data["label"])
    labels[wrong] = 1 - labels[wrong]
    data = data.remove_columns("label").add_column("label", labels)
    learner = hs.HuggingFace(BagOfWords, arguments(tmp_path, learning_rate=0.5, max_steps=30), processing_class=tokenizer())
    d = hs.measure(data, learner=learner, **FOLDS)
    once = hs.measure(data, learner=learner, **FOLDS, refine=False)
    assert d.settings["refined"]["rounds"] == 1
    np.testing.assert_array_equal(d.error, once.error)
    right = np.setdiff1d(np.arange(60), wrong)
    assert d.p_wrong[right].mean() < 0.6 * once.p_wrong[right].mean()
    assert d.p_wrong[wrong].min() > d.p_wrong[right].max()


class OwnLoss(Trainer):
    def compute_loss(self, *args, **more):
        return super().compute_loss(*args, **more)


def test_a_loss_of_ones_own_cannot_be_weighted(tmp_path):
    smooth = arguments(tmp_path, label_smoothing_factor=0.1)
    for learner in (
        hs.HuggingFace(bert, smooth, processing_class=tokenizer()),
        hs.HuggingFace(bert, arguments(tmp_path), processing_class=tokenizer(), trainer=OwnLoss),
    ):
        assert not learner.capabilities.takes_weights
        measuring_raises("does not take weights of training samples", reviews(12), learner, weights=[1.0] * 12)
        measuring_raises("does not take weights", reviews(12), learner, refine=True)


class Noted(Trainer):
    """Tells with what each member was trained."""

    runs: list = []  # noqa: RUF012

    def train(self):
        first = next(iter(self.get_train_dataloader()))["input_ids"]
        weights = torch.cat([p.flatten() for p in self.model.parameters()]).detach().clone()
        self.runs.append((self.args.seed, self.args.data_seed, weights, first))
        return super().train()


def numbers():
    return np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


def test_every_member_has_seeds_of_its_own_and_global_numbers_stay_where_they_were(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    args = arguments(tmp_path, per_device_train_batch_size=8, max_steps=2)
    learner = language(gpt2, args, trainer=Noted)
    data = texts(16)
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    before = numbers()
    Noted.runs = []
    first = hs.measure(data, learner=learner, **FOLDS)
    assert numbers() == before
    # Beartype draws from Python's numbers; had the Trainer's seeds stayed, both would go on alike.
    drawn = random.random()
    assert list(tmp_path.iterdir()) == []
    runs = Noted.runs
    assert len({seed for seed, *_ in runs} | {data for _, data, *_ in runs}) == 12
    assert len({tuple(weights.tolist()) for *_, weights, _ in runs}) == 6
    assert args.seed == 42
    torch.rand(5)
    random.seed(2)
    again = hs.measure(texts(16), learner=learner, **FOLDS)
    assert random.random() != drawn
    np.testing.assert_array_equal(first.error, again.error)
    other = hs.measure(texts(16), learner=learner, seed=1, **FOLDS)
    assert (first.error != other.error).all()


def test_what_becomes_of_a_member_does_not_depend_on_the_others(args):
    samples = rows_to_samples(texts(12))
    rounds = hs.KFold(3, 2).split(None, block_codes(12), split_seed(0))
    plan = Plan(rounds, block_codes(12), 2, 0)
    learner = language(gpt2, args)
    every = list(learner.fit_predict(samples, plan, lambda _: None))
    alone = list(learner.fit_predict(samples, plan.select(range(1, 2), range(1, 2)), lambda _: None))
    assert len(every) == 6
    assert torch.equal(alone[0].rows, every[4].rows)
    assert torch.equal(alone[0].values, every[4].values)


def test_a_run_goes_on_where_it_was_stopped_and_adjusts(args, tmp_path, monkeypatch):
    monkeypatch.setattr("hardsight.estimation.runner.MODELS_PER_PART", 6)
    learner = language(Bigrams, args)
    how = {**FOLDS, "repeats": 4, "estimate": hs.Estimate(adjusted=True)}
    whole = hs.measure(texts(12), learner=learner, **how)
    path = tmp_path / "run.npz"
    broken = language(Bigrams, args)
    trained = []

    def stops():
        trained.append(1)
        if len(trained) > 8:
            raise RuntimeError("no more")
        return Bigrams()

    stops.__name__ = "Bigrams"
    broken.model_init = stops
    with pytest.raises(hs.LearnerError, match=r"Hugging Face Bigrams failed on member 2 of round 2: RuntimeError: no more"):
        hs.measure(texts(12), learner=broken, execution=hs.Execution(checkpoint=path), **how)
    resumed = hs.measure(texts(12), learner=learner, execution=hs.Execution(checkpoint=path, resume=True), **how)
    np.testing.assert_array_equal(resumed.error, whole.error)
    assert resumed.settings["adjusted"] == whole.settings["adjusted"]
    assert whole.settings["adjusted"]["why"] != "not asked for"


def test_batches_of_like_length_and_full_ones_leave_the_samples_where_they_are(tmp_path):
    odd = {"train_sampling_strategy": "group_by_length", "dataloader_drop_last": True, "per_device_eval_batch_size": 4}
    data, how = texts(20), {"folds": 2, "repeats": 2, "duplicates": "apart"}
    plain = hs.measure(data, learner=language(Bigrams, arguments(tmp_path, per_device_train_batch_size=10)), **how)
    grouped = arguments(tmp_path, per_device_train_batch_size=10, **odd)
    found = hs.measure(data, learner=language(Bigrams, grouped), **how)
    np.testing.assert_allclose(found.error, plain.error, rtol=1e-6)


def test_samples_are_predicted_in_batches_of_like_length(args):
    widths = []

    class Watched(BagOfWords):
        def forward(self, input_ids, attention_mask=None, labels=None):
            if not self.training:
                widths.append((input_ids > 0).sum(1).tolist())
            return super().forward(input_ids, attention_mask, labels)

    args.per_device_eval_batch_size = 4
    hs.measure(reviews(30), learner=hs.HuggingFace(Watched, args, processing_class=tokenizer()), **FOLDS, refine=False)
    assert len(widths) == 6 * 3
    for member in range(6):
        lengths = [each for batch in widths[3 * member : 3 * member + 3] for each in batch]
        assert lengths == sorted(lengths)


def test_classes_have_the_names_of_the_dataset_and_the_columns_of_the_model(args):
    data = reviews(24).map(lambda row: {"label": 1 + row["label"]})
    data = data.cast_column("label", datasets.ClassLabel(names=["none", "praise", "blame", "spare"]))
    args.learning_rate, args.max_steps = 1.0, 20
    learner = hs.HuggingFace(lambda: BagOfWords(4), args, processing_class=tokenizer())
    d = hs.measure(data, learner=learner, folds=2, repeats=2, duplicates="apart")
    assert d.classes == ("praise", "blame")
    assert d.consensus.shape == (24, 2)
    assert (d.error < 0.69).all()
    assert d.predicted.tolist() == d.labels.tolist()


def test_equal_rows_groups_and_ids(args):
    data = reviews(12)
    double = datasets.concatenate_datasets([data, data]).add_column("name", [f"s{i}" for i in range(24)])
    d = hs.measure(
        double, ids="name", learner=hs.HuggingFace(BagOfWords, args, processing_class=tokenizer()), folds=2, repeats=2
    )
    assert d.ids.tolist() == [f"s{i}" for i in range(24)]
    assert any("have exactly the same features" in message for message in d.settings["notices"])
    np.testing.assert_array_equal(d.error[:12], d.error[12:])
    found = rows_to_samples(double, ids="name", groups="label")
    assert found.groups.tolist() == double["label"]
    assert found.features.features == ("sentence", "input_ids")
    assert len(set(found.fingerprints().tolist())) == len(set(data["sentence"]))
    assert found.take(np.array([3, 1])).features.describe(0) == data["sentence"][3]
    tokens = rows_to_samples(double.remove_columns(["sentence", "label"]), ids="name")
    assert tokens.loss_only
    assert len(set(tokens.fingerprints().tolist())) == len(set(data["sentence"]))
    assert tokens.features.describe(2) == f"input_ids: {data['input_ids'][2]}"


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    return hs.measure(texts(12), learner=language(Bigrams, arguments(tmp_path_factory.mktemp("a"))), **FOLDS)


def test_a_result_of_losses_says_what_is_not_there(measured, tmp_path):
    assert measured.loss_only
    assert not measured.regression
    assert list(measured.table) == ["error", "error_se", "views"]
    assert measured.factors is None
    assert measured.recommended_action is None
    assert "mean log-loss per token" in repr(measured)
    measured.save(tmp_path / "d.parquet")
    loaded = hs.load(tmp_path / "d.parquet")
    assert loaded.table.equals(measured.table)
    assert loaded.loss_only
    assert loaded.select(loaded.ids[:3]).hardest(1).index[0] in loaded.ids[:3]
    weights = hs.weigh(measured, "spl-linear", lam=10.0)
    assert np.argsort(weights).tolist() == np.argsort(-measured.error).tolist()


@pytest.mark.parametrize("shown", [True, False])
def test_its_page_shows_the_texts_and_no_figure_that_is_not_there(measured, tmp_path, shown):
    replace(measured, samples=None).report(tmp_path / "r.html", samples=measured.samples if shown else None)
    page = (tmp_path / "r.html").read_text()
    page = page[: page.index('id="specs"')]
    assert "The models gave a loss per sample and no predictions" in page
    assert "log-loss per token" in page
    assert "nats per token" in page
    assert (measured.samples.features.describe(int(measured.ranking[0])) in page) == shown
    body = page[page.index("<main>") :].replace("mislabelled", "").replace("aria-labelledby", "")
    for absent in ("Bias", "variance to show", "By class", "By range", "predicted", "labelled", "NaN", "Label<"):
        assert absent not in body


@pytest.mark.parametrize("width", [60, 140])
def test_its_summary_has_neither_classes_nor_labels(measured, width):
    console = Console(width=width, record=True, file=io.StringIO())
    print_summary(measured, hardest=3, seconds=1.0, console=console)
    text = console.export_text()
    assert "By class" not in text
    before, without_causes, after = " ".join(text.split()).partition("no ledger of causes, and no label to doubt.")
    assert without_causes
    assert "label" not in before.split("hardest")[-1] + after
    fields = summary_json(measured, hardest=2, seconds=1.0, files={})
    assert fields["bias"] is None
    assert fields["accuracy"] is None
    assert fields["classes"] is None
    assert set(fields["hardest"][0]) == {"id", "error", "error_se", "views"}


def measuring_raises(match, data, learner, error=hs.InputError, **how):
    raises_in_one_line(error, match, hs.measure, data, learner=learner, **FOLDS | how)


def test_arguments_that_cannot_be_used(args):
    for given, match in (
        ((bert(), args), "model_init must be a function"),
        ((bert, {"learning_rate": 1}), "args must be transformers.TrainingArguments. Got dict"),
    ):
        with pytest.raises(hs.InputError, match=match):
            hs.HuggingFace(*given)
    with pytest.raises(hs.InputError, match="sequence must be 'mean' or 'sum'"):
        hs.HuggingFace(bert, args, sequence="median")
    with pytest.raises(hs.InputError, match=r"trainer must be a subclass of transformers\.Trainer"):
        hs.HuggingFace(bert, args, trainer=bert)


def test_data_that_cannot_be_used(args):
    data, learner = reviews(12), hs.HuggingFace(BagOfWords, args, processing_class=tokenizer())
    measuring_raises(
        "X must be a Hugging Face dataset, which this learner reads. Got list: make one with", [[1, 2]], learner
    )
    measuring_raises(r"X holds several splits: pass one of them, as X\['train'\]", datasets.DatasetDict(train=data), learner)
    measuring_raises("labels must be a column of the dataset", data, learner, y=[0] * 12)
    measuring_raises("there is no column 'stars' to use as label: the columns are 'sentence'", data, learner, y="stars")
    measuring_raises("there is no column 'w' to use as weights", data, learner, weights="w")
    measuring_raises("weights must be finite and 0 or more. Got -1", data, learner, weights=[-1.0] + [1.0] * 11)
    measuring_raises("the label is missing", texts(12), learner, task="classification")
    measuring_raises(
        "column 'input_ids' must hold one label per sample", data, learner, y="input_ids", task="classification"
    )
    measuring_raises("holds text, which a Trainer cannot learn", data, learner, y="sentence")
    measuring_raises("task must be one of", data, learner, task="classes")
    measuring_raises("loss cannot be 'log'", texts(12), language(Bigrams, args), loss="log")
    measuring_raises("record needs classes", texts(12), language(Bigrams, args), record=hs.Record(members=True))
    unknown = data.map(lambda row: {"label": row["label"] - 1})
    measuring_raises(r"column 'label' is below 0 in 6 samples \(rows 0, 2, 4, …\)", unknown, learner)
    with pytest.raises(hs.InputError, match=r"only hs\.HuggingFace reads"):
        hs.measure(rows_to_samples(texts(12)), learner="ridge")


def test_models_that_cannot_be_used(args):
    data = reviews(12)
    few = hs.HuggingFace(BagOfWords, args, processing_class=tokenizer())
    many = data.map(lambda row: {"label": 2 * row["label"]})
    measuring_raises("the model has 2 classes, and labels go up to 2: make it num_labels=3", many, _untrained(Silent, args))
    measuring_raises(
        "the model gives 2 outputs for one number to predict", data, _untrained(Silent, args), task="regression"
    )
    failed = "Hugging Face BagOfWords failed on member 0 of round 0: IndexError: Target 2 is out of bounds"
    measuring_raises(failed, many, few, error=hs.LearnerError)
    measuring_raises(r"pass task='loss' for a language model", data, _untrained(Bigrams, args, collator=unlabelled))
    measuring_raises("the collator gives no labels", texts(12), _untrained(gpt2, args))
    measuring_raises(r"Got \(\d, 2\) for", texts(12), _untrained(Silent, args, collator=language(bert, args).collator))
    short = datasets.Dataset.from_dict({"input_ids": [[3, 4]] * 9 + [[2]] * 3})
    measuring_raises("sample 9 has no token to predict", short, language(Bigrams, args))
    model = BagOfWords()
    measuring_raises(
        "model_init returns the same model again", data, hs.HuggingFace(lambda: model, args, processing_class=tokenizer())
    )


class Silent(BagOfWords):
    """Says nothing of the labels."""

    def forward(self, input_ids, attention_mask=None, labels=None):
        return {"loss": self.weight.sum(), **super().forward(input_ids)}


class Idle(Trainer):
    """Does not train, so that a model that cannot be trained may be judged."""

    def train(self):
        pass


def unlabelled(rows):
    """Batches that say nothing of the labels."""
    return {"input_ids": padded([row["input_ids"] for row in rows])}


def _untrained(model, args, **more):
    return hs.HuggingFace(model, args, trainer=Idle, **{"processing_class": tokenizer()} | more)


def test_words_of_the_recipe(args):
    text = hs.HuggingFace(bert, args, trainer=Idle).describe()
    assert text.startswith("Hugging Face bert by Idle: num_train_epochs=3.0, max_steps=3, per_device_train_batch_size=1000")
    assert "optim=sgd" in text
    assert text.endswith("; sequences by the mean of their tokens")
    assert len(WORDS) == 11
