"""hs.Loop: two functions of the user train and predict samples by their ids."""

import functools
import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from support.convnet_loop import IMAGES, LABELS, N, predict_convnet, small_convnet, train_convnet
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Subset

import hardsight as hs
from hardsight.learners.loop.functions import code_digest

FAST = {"folds": 3, "repeats": 2}


def make_data(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, 4))
    X[np.arange(N), LABELS] += 2.5
    return X


X, Y = make_data(), LABELS


def train(ids, weights, seed):
    """Class means: exact, quick, and they follow the weights."""
    return np.stack([np.average(X[ids][Y[ids] == k], axis=0, weights=weights[Y[ids] == k]) for k in range(3)])


def scores(means, ids):
    return -((X[ids][:, None] - means) ** 2).sum(2)


def probabilities(means, ids):
    return torch.tensor(scores(means, ids)).softmax(1)


def measure(predict=scores, train=train, y=Y, **options):
    loop = {name: options.pop(name) for name in ("outputs", "classes") if name in options}
    return hs.measure(None, y, learner=hs.Loop(train, predict, **loop), **FAST | options)


@pytest.fixture(scope="module")
def reference():
    return measure()


def test_errors_are_those_of_a_cross_fitting_loop_written_by_hand():
    parts = []

    def recorded(ids, weights, seed):
        assert (weights == 1).all()
        parts.append((ids, seed))
        return train_convnet(ids, weights, seed)

    d = hs.measure(None, Y, learner=hs.Loop(recorded, predict_convnet), **FAST, refine=False)
    views = np.full((2, N, 3), np.nan)
    for number, (ids, seed) in enumerate(parts):
        held_out = np.setdiff1d(np.arange(N), ids)
        net = train_convnet(ids, np.ones(len(ids), dtype=np.float32), seed)
        views[number // 3, held_out] = torch.cat(predict_convnet(net, held_out)).numpy()
    assert len({seed for _, seed in parts}) == 6
    assert (hs.measure_predictions(views, Y).error == d.error).all()
    by_hand = -torch.tensor(views).log_softmax(2)[:, np.arange(N), Y].mean(0).numpy()
    np.testing.assert_allclose(d.error, by_hand, rtol=0, atol=1e-14)


SCRIPT = """
    import os, signal, sys
    import numpy as np
    sys.path.insert(0, sys.argv[3])
    import hardsight as hs
    from support import convnet_loop as loop

    calls = 0

    def train(ids, weights, seed):
        global calls
        calls += 1
        if calls == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return loop.train_convnet(ids, weights, seed)

    execution = hs.Execution(checkpoint=sys.argv[1] + "/run.part", resume="resume" in sys.argv)
    d = hs.measure(
        None, loop.LABELS, learner=hs.Loop(train, loop.predict_convnet), folds=3, repeats=4, refine=1, execution=execution
    )
    np.savez(sys.argv[1] + "/result.npz", error=d.error, p_wrong=d.p_wrong, calls=calls)
"""


@pytest.mark.slow
def test_killed_and_resumed_gives_the_same_bytes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    tests = Path(__file__).parents[1]

    def run(folder, kill_at, *more):
        (tmp_path / folder).mkdir(exist_ok=True)
        command = [sys.executable, script, tmp_path / folder, str(kill_at), tests, *more]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    assert run("whole", -1).returncode == 0
    # In the third repeat of the first round, and in the second round.
    for kill_at, *more in ((8,), (10, "resume")):
        assert run("killed", kill_at, *more).returncode == -signal.SIGKILL
    ended = run("killed", -1, "resume")
    assert ended.returncode == 0, ended.stderr
    whole, resumed = (np.load(tmp_path / folder / "result.npz") for folder in ("whole", "killed"))
    assert resumed["calls"] < whole["calls"] == 24
    assert (whole["error"] == resumed["error"]).all()
    assert (whole["p_wrong"] == resumed["p_wrong"]).all()


def test_a_run_is_not_resumed_with_other_code(tmp_path):
    execution = hs.Execution(checkpoint=tmp_path / "run.part")
    measure(execution=execution)
    with pytest.raises(hs.InputError, match="the learner changed"):
        measure(
            lambda means, ids: 2 * scores(means, ids), execution=hs.Execution(checkpoint=tmp_path / "run.part", resume=True)
        )


def test_processes_give_the_same_bytes(reference):
    assert (measure(execution=hs.Execution(jobs=2)).error == reference.error).all()


def test_wrong_labels_lead_to_a_second_round_with_weights():
    wrong = np.arange(N) % 9 == 0
    labels = np.where(wrong, (Y + 1) % 3, Y)
    weights_of = []

    def weighted(ids, weights, seed):
        weights_of.append(weights)
        by_class = [labels[ids] == k for k in range(3)]
        return np.stack([np.average(X[ids][rows], axis=0, weights=weights[rows]) for rows in by_class])

    d = measure(train=weighted, y=labels, repeats=3)
    first, second = weights_of[:9], weights_of[9:]
    assert len(second) == 9
    assert all((weights == 1).all() for weights in first)
    assert all(np.isclose(weights.mean(), 1) and weights.std() > 0.1 for weights in second)
    assert d.p_wrong[wrong].min() > np.median(d.p_wrong)


def test_weights_of_the_user_reach_train():
    weights = np.linspace(0.5, 1.5, N)
    received = {}

    def recorded(ids, weights, seed):
        assert np.isclose(weights.mean(), 1)
        received.update(zip(ids.tolist(), weights.tolist(), strict=True))
        return train(ids, weights, seed)

    measure(train=recorded, weights=weights, refine=False)
    assert np.corrcoef([received[i] for i in range(N)], weights)[0, 1] > 0.99


def test_global_random_numbers_are_seeded_for_each_member_and_restored():
    drawn = []

    def drawing(ids, weights, seed):
        drawn.append((seed, random.random(), np.random.rand(), float(torch.rand(()))))
        return train(ids, weights, seed)

    torch.manual_seed(5)
    state = torch.get_rng_state()
    measure(train=drawing, refine=False)
    once = sorted(drawn)
    drawn.clear()
    measure(train=drawing, refine=False)
    assert sorted(drawn) == once
    assert len(set(once)) == 6
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "same",
    [
        lambda ids, seed, weights: train(ids, weights, seed),
        lambda rows, w, s: train(rows, w, s),
        lambda ids, w, seed: train(ids, w, seed),
        lambda ids, *, seed, weights: train(ids, weights, seed),
        lambda ids, weights, seed, extra=3: train(ids, weights, seed),
        lambda ids, **named: train(ids, named["weights"], named["seed"]),
        lambda *given: train(*given),
        functools.partial(lambda folder, ids, weights, seed: train(ids, weights, seed), "folder"),
    ],
)
def test_parameters_are_passed_by_name_or_in_order(same, reference):
    assert (measure(train=same).error == reference.error).all()


def test_methods_and_positional_parameters():
    class Experiment:
        def train(self, ids, weights, seed, /):
            return train(ids, weights, seed)

        def __call__(self, model, ids):
            return scores(model, ids)

    experiment = Experiment()
    assert measure(experiment, train=experiment.train).run.n_models == 6


def test_without_weights_there_is_no_second_round():
    unweighted = lambda ids, seed: train(ids, np.ones(len(ids)), seed)  # noqa: E731
    assert measure(train=unweighted).error.mean() > 0
    with pytest.raises(hs.InputError, match="does not take weights"):
        measure(train=unweighted, refine=True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda ids: 0, "train must take"),
        (lambda ids, weights: 0, "train must take"),
        (lambda ids, s: 0, "train must take"),
        (lambda ids, weights, seed, epochs: 0, "train must take"),
        (lambda: 0, "train must take"),
        (3, "train must be a function"),
    ],
)
def test_train_with_other_parameters_is_refused(wrong, message):
    with pytest.raises(hs.InputError, match=message):
        hs.Loop(wrong, scores)


@pytest.mark.parametrize("wrong", [lambda model: 0, lambda a, b, c: 0, None])
def test_predict_with_other_parameters_is_refused(wrong):
    with pytest.raises(hs.InputError, match="predict must"):
        hs.Loop(train, wrong)


def test_logits_probabilities_and_log_probabilities_are_told_apart(reference):
    log_probabilities = lambda means, ids: probabilities(means, ids).log()  # noqa: E731
    for predict, kind in ((probabilities, "probabilities"), (log_probabilities, "log-probabilities"), (scores, "logits")):
        for outputs in ("auto", kind):
            np.testing.assert_allclose(measure(predict, outputs=outputs).error, reference.error, rtol=1e-9, atol=1e-12)


def test_tensors_lists_of_batches_and_half_precision(reference):
    batches = lambda means, ids: [torch.tensor(scores(means, part)) for part in np.array_split(ids, 4)]  # noqa: E731
    single = lambda means, ids: [torch.tensor(scores(means, ids[i : i + 1])) for i in range(len(ids))]  # noqa: E731
    half = lambda means, ids: torch.tensor(scores(means, ids), requires_grad=True).bfloat16()  # noqa: E731
    assert (measure(batches).error == reference.error).all()
    assert (measure(lambda means, ids: (part for part in batches(means, ids))).error == reference.error).all()
    assert (measure(single).error == reference.error).all()
    np.testing.assert_allclose(measure(half).error, reference.error, atol=0.1)


def test_arrays_that_torch_cannot_share(reference):
    frame = lambda means, ids: pd.DataFrame(scores(means, ids))  # noqa: E731
    backwards = lambda means, ids: np.ascontiguousarray(scores(means, ids)[:, ::-1])[:, ::-1]  # noqa: E731
    for predict in (frame, backwards):
        d = measure(predict)
        assert (d.error == reference.error).all()
        assert d.run.notices == reference.run.notices


def test_probabilities_a_rounding_beyond_one_are_no_logits():
    def rounded(means, ids):
        return np.eye(3)[scores(means, ids).argmax(1)]

    expected = measure(rounded).error
    for change in (lambda p: p * (1 + 1.2e-7), lambda p: p - 1e-9):
        for outputs in ("auto", "probabilities"):
            d = measure(lambda means, ids, change=change: change(rounded(means, ids)), outputs=outputs)
            np.testing.assert_allclose(d.error, expected, rtol=1e-5)


def test_zero_probabilities_follow_the_rule_of_succession():
    certain = lambda means, ids: np.eye(3)[scores(means, ids).argmax(1)]  # noqa: E731
    d = measure(certain)
    trained_on = N * 2 / 3
    assert np.isclose(d.error.max(), np.log(trained_on + 3), atol=0.1)


def test_one_column_of_two_classes():
    y = (Y > 0).astype(int)

    def train_two(ids, weights, seed):
        return np.stack([X[ids][y[ids] == k].mean(0) for k in range(2)])

    margin = lambda means, ids: scores(means, ids)[:, 1] - scores(means, ids)[:, 0]  # noqa: E731
    second = lambda means, ids: torch.tensor(margin(means, ids)).sigmoid()  # noqa: E731
    options = {"train": train_two, "y": y}
    expected = measure(scores, **options).error
    for predict, more in (
        (margin, {}),
        (lambda means, ids: margin(means, ids)[:, None], {}),
        (second, {"outputs": "probabilities"}),
        (lambda means, ids: second(means, ids).log(), {"outputs": "log-probabilities"}),
    ):
        np.testing.assert_allclose(measure(predict, **options, **more).error, expected, rtol=1e-7, atol=1e-9)
    with pytest.raises(hs.InputError, match="outputs='probabilities'"):
        measure(second, **options)
    with pytest.raises(hs.InputError, match="outputs='log-probabilities'"):
        measure(lambda means, ids: second(means, ids).log(), **options)


NAMES = np.array(["dog", "ape", "cat"])


def test_columns_in_another_order_than_the_classes():
    with pytest.raises(hs.InputError, match="in another order than the sorted classes"):
        measure(y=NAMES[Y])
    d = measure(y=NAMES[Y], classes=["dog", "ape", "cat"])
    assert (d.table["predicted"] == d.table["label"]).mean() > 0.8
    more = measure(
        lambda means, ids: np.insert(scores(means, ids), 1, -50, axis=1), y=NAMES[Y], classes=["dog", "owl", "ape", "cat"]
    )
    np.testing.assert_allclose(more.error, d.error, atol=1e-9)


@pytest.mark.parametrize("labels", [[3, 1, 2], [-1, -3, -2]])
def test_columns_of_numbers_in_another_order(labels):
    with pytest.raises(hs.InputError, match="in another order than the sorted classes"):
        measure(y=np.array(labels)[Y])


@pytest.mark.parametrize("classes", ["dog", {"ape": 1, "cat": 2, "dog": 0}, {"ape", "cat", "dog"}])
def test_classes_without_an_order_are_refused(classes):
    with pytest.raises(hs.InputError, match="classes must be a list"):
        hs.Loop(train, scores, classes=classes)


def test_columns_of_integers_without_samples(reference):
    d = measure(lambda means, ids: np.insert(scores(means, ids), 1, -50, axis=1), y=Y + (Y > 0))
    assert (d.error == reference.error).all()


def test_doubtful_columns_are_a_notice():
    # These predictions say nothing, so they cannot tell the order.
    with pytest.warns(hs.HardsightWarning, match="sorted order"):
        d = measure(lambda means, ids: np.zeros((len(ids), 3)) - 1, y=NAMES[Y])
    assert any("in sorted order ('ape', 'cat', 'dog')" in text for text in d.run.notices)


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (lambda means, ids: scores(means, ids).argmax(1), "3 columns, one per class"),
        (lambda means, ids: scores(means, ids)[:, :2], "3 columns, one per class"),
        (lambda means, ids: scores(means, ids)[:-1], "one row per id"),
        (lambda means, ids: None, "Got NoneType"),
        (lambda means, ids: ["a"] * len(ids), "must return an array"),
        (lambda means, ids: scores(means, ids) + 1j, "must return an array"),
        (lambda means, ids: scores(means, np.random.permutation(ids)), "do not shuffle"),
        (lambda means, ids: scores(means, np.sort(ids)), "in the order of the ids"),
        (lambda means, ids: 1 / (1 + np.exp(-scores(means, ids))), "outputs='logits'"),
    ],
)
def test_other_outputs_are_refused(predict, message):
    with pytest.raises(hs.InputError, match=message):
        measure(predict)


@pytest.mark.parametrize("outputs", ["probabilities", "log-probabilities"])
def test_outputs_of_another_kind_than_stated_are_refused(outputs):
    with pytest.raises(hs.InputError, match=f"must return {outputs}"):
        measure(lambda means, ids: scores(means, ids) + 9, outputs=outputs)


def test_nan_and_errors_name_the_member_and_the_line():
    with pytest.raises(hs.LearnerError, match="returned nan in 30 of 30 rows"):
        measure(lambda means, ids: scores(means, ids) * np.nan)
    with pytest.raises(
        hs.LearnerError, match=r"train of loop .* failed on member 0 of round 0: KeyError: .*test_loop.py, line"
    ):
        measure(train=lambda ids, weights, seed: {}["absent"])


def test_predictions_that_depend_on_the_batch_are_a_notice():
    def training_mode(net, ids):
        net.train()
        return torch.cat([net(x) for x, _ in DataLoader(Subset(IMAGES, ids), batch_size=20)]).detach()

    loop = hs.Loop(train_convnet, training_mode)
    with pytest.warns(hs.HardsightWarning, match="call model.eval"):
        d = hs.measure(None, Y, learner=loop, **FAST, refine=False)
    assert sum("call model.eval()" in text for text in d.run.notices) == 1


def shared(backbone, trained):
    def train_head(ids, weights, seed):
        net = nn.Sequential(nn.Flatten(), backbone, nn.Linear(8, 3))
        optimizer = torch.optim.SGD((net if trained else net[2]).parameters(), lr=0.1)
        x, y = IMAGES[ids]
        for _ in range(3):
            optimizer.zero_grad()
            cross_entropy(net(x), y).backward()
            optimizer.step()
        return net

    return train_head


def test_a_module_that_is_trained_further_is_refused():
    net = small_convnet()

    def further(ids, weights, seed):
        with torch.no_grad():
            net[0].bias += 1
        return net

    for function in (further, shared(nn.Linear(16, 8), trained=True)):
        with pytest.raises(hs.InputError, match="train changes the parameter"):
            hs.measure(None, Y, learner=hs.Loop(function, predict_convnet), **FAST)


def test_parts_that_stay_as_they_were_may_be_shared():
    loop = hs.Loop(shared(nn.Linear(16, 8), trained=False), predict_convnet)
    assert np.isfinite(hs.measure(None, Y, learner=loop, **FAST, refine=False).error).all()


def test_rounding_of_predictions_that_are_all_the_same_is_no_notice():
    target = np.arange(N) / N
    last = iter(range(10**6))
    rounded = lambda mean, ids: mean + 1e-9 * np.full(len(ids), next(last))  # noqa: E731
    d = hs.measure(None, target, learner=hs.Loop(lambda ids, weights, seed: target[ids].mean(), rounded), **FAST)
    assert not any("again" in text for text in d.run.notices)


def test_regression_and_own_losses():
    target = X @ np.arange(4.0) + np.random.default_rng(1).normal(size=N)

    def fit(ids, weights, seed):
        return np.linalg.lstsq(X[ids], target[ids], rcond=None)[0]

    d = hs.measure(None, target, learner=hs.Loop(fit, lambda beta, ids: X[ids] @ beta), **FAST)
    loss = lambda beta, ids: (X[ids] @ beta - target[ids]) ** 2  # noqa: E731
    own = hs.measure(range(N), learner=hs.Loop(fit, loss), task="loss", **FAST)
    # The folds are the same, because nothing is stratified.
    np.testing.assert_allclose(own.error, d.error, rtol=1e-12)
    with pytest.raises(hs.InputError, match="one number per id"):
        hs.measure(None, target, learner=hs.Loop(fit, lambda beta, ids: X[ids]), **FAST)


def test_samples_without_a_label_are_predicted_by_id():
    names = np.array([f"photo {i}" for i in range(N)])
    position = {name: i for i, name in enumerate(names)}
    rows = lambda ids: np.array([position[name] for name in ids])  # noqa: E731
    labels = [None if i % 10 == 0 else int(label) for i, label in enumerate(Y)]
    loop = hs.Loop(lambda ids, weights, seed: train(rows(ids), weights, seed), lambda means, ids: scores(means, rows(ids)))
    d = hs.measure(names, labels, learner=loop, unlabelled="predict", **FAST)
    assert d.unlabelled.index.tolist() == names[::10].tolist()
    assert (d.unlabelled["predicted"].to_numpy() == Y[::10]).mean() > 0.8


def test_features_and_embeddings_beside_the_ids(reference):
    copied = np.concatenate([X[:-5], X[:5]])
    d = hs.measure(copied, Y, learner=hs.Loop(train, scores), **FAST)
    assert len(d.copies()) >= 5
    embedded = hs.measure(None, Y, embedding=X, learner=hs.Loop(train, scores), **FAST)
    assert embedded.error.shape == reference.error.shape


def test_the_report_shows_ids(tmp_path):
    samples = hs.Samples.of(None, Y, ids=[f"photo {i}" for i in range(N)])
    loop = hs.Loop(
        lambda ids, weights, seed: train([int(i[6:]) for i in ids], weights, seed),
        lambda means, ids: scores(means, [int(i[6:]) for i in ids]),
    )
    d = hs.measure(samples, learner=loop, **FAST)
    d.report(tmp_path / "report.html", samples)
    assert "photo 1" in (tmp_path / "report.html").read_text()


def make_trainer(rate, module_rate=0.1):
    def fit(ids, weights, seed):
        return rate, module_rate, helper(ids)

    return fit


def helper(ids):
    return {"a", "b", "c"} | set(ids)


def test_the_digest_follows_code_and_values_and_nothing_else():
    assert code_digest(make_trainer(0.1)) == code_digest(make_trainer(0.1))
    assert code_digest(make_trainer(0.1)) != code_digest(make_trainer(0.2))
    assert code_digest(train) != code_digest(scores)
    one, other = {"x": 1}, {"x": 1}
    exec("def helper(v):\n    return v + 1\ndef f(v):\n    return helper(v)", one)
    exec("def helper(v):\n    return v + 2\ndef f(v):\n    return helper(v)", other)
    assert code_digest(one["f"]) != code_digest(other["f"])


def make_counting(step):
    calls = step

    def fit(ids, weights, seed):
        nonlocal calls
        calls += 1
        return later(ids)

    digest = code_digest(fit)  # while one of its variables has no value yet

    def later(ids):
        return ids

    return digest, code_digest(fit)


def test_the_digest_ignores_what_a_function_counts():
    assert make_counting(1) == make_counting(7)
    one, other = {"calls": 0}, {"calls": 7}
    for scope in (one, other):
        exec("def f(ids, seed):\n    global calls\n    calls += 1", scope)
    assert code_digest(one["f"]) == code_digest(other["f"])


def test_the_digest_is_that_of_another_process():
    code = (
        "from support.convnet_loop import train_convnet as f; from hardsight.learners.loop.functions import code_digest as c"
    )
    env = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    printed = subprocess.run(
        [sys.executable, "-c", f"{code}; print(c(f))"], env=env, capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == code_digest(train_convnet)


def test_other_learners_need_features():
    for learner in ("auto", "forest", hs.Network(), hs.Ridge()):
        with pytest.raises(hs.InputError, match="X is missing"):
            hs.measure(None, Y, learner=learner)
    assert hs.measure(None, Y, embedding=X, learner="ridge", **FAST).error.shape == (N,)


def test_ids_of_a_series_and_of_paths(reference):
    series = pd.Series(Y, index=np.arange(N) + 100)
    loop = hs.Loop(lambda ids, weights, seed: train(ids - 100, weights, seed), lambda means, ids: scores(means, ids - 100))
    assert (hs.measure(None, series, learner=loop, **FAST).error == reference.error).all()
