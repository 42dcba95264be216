"""Every measure: an example worked by hand, and a witness that shares no code with it."""

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from torch import nn

import hardsight as hs
from hardsight.measures import centroid_distance, gradient_norms, input_gradients, knn_disagreement, prototype_distance
from hardsight.measures.measure import Measure, Score, pair
from hardsight.measures.reductions import LATEST, MEAN, MEANS, MOMENTS, RUNS, TOTALS
from hardsight.measures.statistics import LOG_LOSS, OPTIONAL_INPUTS, View

LN2 = 0.6931471805599453
R, W = [2.0, 1.0], [1.0, 2.0]  # right and wrong for label 0


def log(*probabilities):
    """Logits whose softmax is that."""
    return np.log(probabilities).tolist()


def recorded(*views, labels=(0,), held_out=(), second_split=(), **given):
    """A record of samples 0, 1, …; a view is their logits, ``given`` has one value a view."""
    record = hs.Record()
    for flags, stream in (({}, views), ({"held_out": True}, held_out), ({"second_split": True}, second_split)):
        for number, logits in enumerate(stream):
            extra = {} if flags else {name: values[number] for name, values in given.items()}
            z = torch.tensor(logits, dtype=torch.float64)
            record.add(view=number, ids=range_of(labels), logits=z, labels=list(labels), **flags, **extra)
    return record


def range_of(labels):
    return list(range(len(labels)))


def one(*views):
    return recorded(*([v] for v in views))


def unseen(*views):
    return recorded(held_out=[[v] for v in views])


def alone(features, labels):
    return recorded([R] * len(labels), labels=labels, features=[np.array(features, dtype=float)])


BY_HAND = {
    # (log 2 + log 4) / 2
    "loss": (one(log(0.5, 0.5), log(0.25, 0.75)), [1.5 * LN2]),
    # 1 - (.5 + .25) / 2
    "confidence": (one(log(0.5, 0.5), log(0.25, 0.75)), [0.625]),
    # .5 and .25 lie .125 from their mean
    "variability": (one(log(0.5, 0.5), log(0.25, 0.75)), [0.125]),
    "correctness": (one(R, W, W, W), [0.75]),
    # (.5 * .5 + .25 * .75) / 2
    "data-iq-aleatoric": (one(log(0.5, 0.5), log(0.25, 0.75)), [0.21875]),
    "data-iq-epistemic": (one(log(0.5, 0.5), log(0.25, 0.75)), [0.015625]),
    # residuals (-.25, .25) and (-.75, .75): .25 sqrt 2 and .75 sqrt 2
    "el2n": (one(log(0.75, 0.25), log(0.25, 0.75)), [0.5 * math.sqrt(2)]),
    # 2 * .0625 and 2 * .5625
    "el2n-squared": (one(log(0.75, 0.25), log(0.25, 0.75)), [0.625]),
    # ||h||^2 + 1 = 9
    "grand": (recorded([log(0.75, 0.25)], features=[np.array([[2.0, 2.0]])]), [0.75 * math.sqrt(2)]),
    # label 1: 2 - 1 and 1 - 3
    "aum": (recorded([[2.0, 1.0, 0.0]], [[0.0, 3.0, 1.0]], labels=[1]), [-0.5]),
    # log 2 and .25 log 4 + .75 log 4/3
    "entropy": (one(log(0.5, 0.5), log(0.25, 0.75)), [(LN2 + 0.25 * 2 * LN2 + 0.75 * math.log(4 / 3)) / 2]),
    "least-confidence": (one(log(0.5, 0.5), log(0.25, 0.75)), [0.375]),
    # two falls; never right; never a fall, though once wrong at first
    "forgetting": (recorded(*([a, W, b] for a, b in zip([R, W, R, W, W], [W, R, R, R, R], strict=True)), labels=[0] * 3),
                   [2, 5, 0]),
    # right permanently after three; wrong at last; right from the start
    "first-learned": (recorded(*([a, b, R] for a, b in zip([W, R, W, R, R], [R, R, R, R, W], strict=True)), labels=[0] * 3),
                      [3, 5, 0]),
    # wrong permanently after four; from the start; never
    "second-split-forgetting": (
        recorded(labels=[0] * 3,
                 second_split=[[a, W, b] for a, b in zip([R, R, W, R, W, W], [W, W, W, W, W, R], strict=True)]),
        [-4, 0, -6]),
    # standard deviations (1, 2) and (1, 0), means 1.5 and .5, in their class 1 +- .5; a class of one
    "vog": (recorded([R] * 3, [R] * 3, labels=[0, 0, 1],
                     input_gradients=[np.zeros((3, 2)), np.array([[2.0, 4.0], [2.0, 0.0], [9.0, 9.0]])]), [1, -1, 0]),
    "agreement": (one(R, R, W), [1 / 3]),
    # log 2 - H(.25)
    "bald": (one(log(0.75, 0.25), log(0.25, 0.75)), [LN2 - 0.25 * 2 * LN2 - 0.75 * math.log(4 / 3)]),
    "c-score": (unseen(R, W, W, W), [0.75]),
    # 1 - 1/4
    "memorization": (recorded([R], [R], held_out=[[R], [W], [W], [W]]), [0.75]),
    # log 4 - log 2
    "rho": (recorded([log(0.25, 0.75)], held_out=[[log(0.5, 0.5)]]), [LN2]),
    "self-confidence": (unseen(log(0.5, 0.5), log(0.25, 0.75)), [0.625]),
    # means .3, .4, .3
    "normalized-margin": (unseen(log(0.2, 0.5, 0.3), log(0.4, 0.3, 0.3)), [0.1]),
    # H(.25) / log 2 / .25
    "confidence-weighted-entropy": (unseen(log(0.25, 0.75)), [(0.5 + 0.75 * math.log2(4 / 3)) / 0.25]),
    # of the five nearest; a number further away at every step
    "knn-disagreement": (alone([[0], [1], [3], [7], [15], [31], [63]], [0, 0, 0, 0, 1, 1, 1]),
                         [0.4, 0.4, 0.4, 0.4, 0.8, 0.8, 0.6]),
    # the mean of (0, 0) and (6, 8) is (3, 4)
    "prototypicality": (alone([[0, 0], [6, 8], [1, 1]], [0, 0, 1]), [5, 5, 0]),
    # (3, 4) and (4, 3) with their mean along (1, 1): cosine 7 / (5 sqrt 2)
    "self-supervised-prototype": (alone([[3, 4], [4, 3], [-99, 0], [-99, 0]], [0, 1, 0, 1]),
                                  [1 - 7 / (5 * math.sqrt(2))] * 2 + [0, 0]),
    # .1 * .125 * 9 + .2 * 1.125 * 9
    "self-influence": (recorded([log(0.75, 0.25)], [log(0.25, 0.75)], features=[np.array([[2.0, 2.0]])] * 2,
                                rate=[0.1, 0.2]), [2.1375]),
    # log 2 + log 4
    "cumulative-loss": (one(log(0.5, 0.5), log(0.25, 0.75)), [3 * LN2]),
    # ||(3, 4)|| + ||(0, 2)||
    "cumulative-input-gradient": (recorded([R], [R], loss_gradients=[np.array([[3.0, 4.0]]), np.array([[0.0, -2.0]])]), [7]),
    # One sample, p = 1/2, h = (0, 1): H = 1/4 + .1/2, v = 1/H = 10/3, and v / 4 = 5/6: 10/3 * 1/2 * 6 = 10 either way
    "memory-perturbation": (recorded([[0.0, 0.0]], features=[np.array([[0.0]])]), [math.log1p(math.exp(20.0))]),
}  # fmt: skip


@pytest.mark.parametrize("name", hs.MEASURES)
def test_by_hand(name):
    record, expected = BY_HAND[name]
    found = record.measure(name)
    assert found.index.tolist() == list(range(len(expected)))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


class History:
    """What happened to one sample, kept view by view: a second, slow record."""

    def __init__(self, label, training, held_out, second_split):
        self.label, self.training, self.held_out, self.second = label, training, held_out, second_split

    @staticmethod
    def p(view):
        top = max(view["z"])
        e = [math.exp(z - top) for z in view["z"]]
        return [x / sum(e) for x in e]

    def own(self, views):
        return [self.p(v)[self.label] for v in views]

    def right(self, views):
        return [v["z"].index(max(v["z"])) == self.label for v in views]

    def residual(self, view):
        return math.sqrt(sum((p - (k == self.label)) ** 2 for k, p in enumerate(self.p(view))))

    def losses(self, views):
        return [-math.log(p) for p in self.own(views)]

    def mean_p(self, views):
        return [sum(c) / len(views) for c in zip(*map(self.p, views), strict=True)]


def average(values):
    values = list(values)
    return sum(values) / len(values)


def entropy(p):
    return -sum(x * math.log(x) for x in p if x > 0)


def rest(values, k):
    return max(v for i, v in enumerate(values) if i != k)


def falls(right):
    return sum(a and not b for a, b in itertools.pairwise(right)) if any(right) else len(right)


def until(flags):
    """How many come before the flags stay set."""
    return next((t for t in range(len(flags)) if all(flags[t:])), len(flags))


def vog(all_of_them):
    raw = []
    for h in all_of_them:
        g = np.array([v["g"] for v in h.training])
        raw.append(np.mean(np.sqrt(np.mean((g - g.mean(0)) ** 2, 0))))
    table = pd.DataFrame({"raw": raw, "label": [h.label for h in all_of_them]})
    grouped = table.groupby("label")["raw"]
    return ((table["raw"] - grouped.transform("mean")) / grouped.transform(lambda c: c.std(ddof=0))).tolist()


def kdn(all_of_them):
    def share(i):
        gaps = sorted((math.dist(h.training[-1]["h"], all_of_them[i].training[-1]["h"]), j)
                      for j, h in enumerate(all_of_them) if j != i)  # fmt: skip
        return average(all_of_them[j].label != all_of_them[i].label for _, j in gaps[:5])

    return [share(i) for i in range(len(all_of_them))]


def to_centroid(all_of_them):
    h = np.array([each.training[-1]["h"] for each in all_of_them])
    y = np.array([each.label for each in all_of_them])
    return [np.linalg.norm(x - h[y == k].mean(0)) for x, k in zip(h, y, strict=True)]


def to_prototype(all_of_them):
    h = np.array([each.training[-1]["h"] for each in all_of_them])
    fitted = KMeans(len({each.label for each in all_of_them}), n_init=1, random_state=0).fit(h)
    centres = fitted.cluster_centers_[fitted.predict(h)]
    return [1 - x @ c / math.sqrt((x @ x) * (c @ c)) for x, c in zip(h, centres, strict=True)]


def without_own_step(all_of_them):
    """Newton steps of each class' last-layer weights on the loss of all other samples."""
    h = np.array([[*each.training[-1]["h"], 1.0] for each in all_of_them])
    p = np.array([each.p(each.training[-1]) for each in all_of_them])
    z = np.array([each.training[-1]["z"] for each in all_of_them])
    y = np.eye(4)[[each.label for each in all_of_them]]
    losses = []
    for i in range(len(h)):
        others = np.arange(len(h)) != i
        moved = z[i].copy()
        for k in range(4):
            curvature = (h[others].T * (p * (1 - p))[others, k]) @ h[others] + 0.1 * np.square(h).mean() * np.eye(h.shape[1])
            # At a minimum, the gradient of the others is minus that of sample i.
            moved[k] += h[i] @ np.linalg.solve(curvature, h[i] * (p - y)[i, k])
        losses.append(np.log(np.exp(moved).sum()) - moved[y[i].argmax()])
    return losses


def each(of):
    return lambda all_of_them: [of(h) for h in all_of_them]


NAIVE = {
    "loss": each(lambda h: average(h.losses(h.training))),
    "confidence": each(lambda h: 1 - average(h.own(h.training))),
    "variability": each(lambda h: float(np.std(h.own(h.training)))),
    "correctness": each(lambda h: 1 - average(h.right(h.training))),
    "data-iq-aleatoric": each(lambda h: average(p * (1 - p) for p in h.own(h.training))),
    "data-iq-epistemic": each(lambda h: float(np.var(h.own(h.training)))),
    "el2n": each(lambda h: average(h.residual(v) for v in h.training)),
    "el2n-squared": each(lambda h: average(h.residual(v) ** 2 for v in h.training)),
    "grand": each(lambda h: average(np.linalg.norm(np.outer(np.array(h.p(v)) - np.eye(4)[h.label], [*v["h"], 1]))
                                    for v in h.training)),
    "aum": each(lambda h: average(rest(v["z"], h.label) - v["z"][h.label] for v in h.training)),
    "entropy": each(lambda h: average(entropy(h.p(v)) for v in h.training)),
    "least-confidence": each(lambda h: average(1 - max(h.p(v)) for v in h.training)),
    "forgetting": each(lambda h: falls(h.right(h.training))),
    "first-learned": each(lambda h: until(h.right(h.training))),
    "second-split-forgetting": each(lambda h: -until([not r for r in h.right(h.second)])),
    "vog": vog,
    "agreement": each(lambda h: 1 - np.bincount([v["z"].index(max(v["z"])) for v in h.training]).max() / len(h.training)),
    "bald": each(lambda h: entropy(h.mean_p(h.training)) - average(entropy(h.p(v)) for v in h.training)),
    "c-score": each(lambda h: 1 - average(h.right(h.held_out))),
    "memorization": each(lambda h: average(h.right(h.training)) - average(h.right(h.held_out))),
    "rho": each(lambda h: average(h.losses(h.training)) - average(h.losses(h.held_out))),
    "self-confidence": each(lambda h: 1 - average(h.own(h.held_out))),
    "normalized-margin": each(lambda h: rest(h.mean_p(h.held_out), h.label) - h.mean_p(h.held_out)[h.label]),
    "confidence-weighted-entropy": each(lambda h: entropy(h.mean_p(h.held_out)) / math.log(4)
                                        / h.mean_p(h.held_out)[h.label]),
    "knn-disagreement": kdn,
    "prototypicality": to_centroid,
    "self-supervised-prototype": to_prototype,
    "cumulative-loss": each(lambda h: sum(h.losses(h.training))),
    "cumulative-input-gradient": each(lambda h: sum(math.hypot(*v["loss_g"]) for v in h.training)),
    "memory-perturbation": without_own_step,
    "self-influence": each(lambda h: sum(v["rate"] * h.residual(v) ** 2 * (np.dot(v["h"], v["h"]) + 1) for v in h.training)),
}  # fmt: skip


@pytest.fixture(scope="module")
def both():
    """The same random views in a record, shuffled and in small batches, and in slow histories."""
    rng = np.random.default_rng(5)
    n, classes = 60, 4
    labels = rng.integers(0, classes, n)
    base = rng.normal(size=(n, classes)) + 0.7 * np.eye(classes)[labels]
    histories = [History(int(y), [], [], []) for y in labels]
    record = hs.Record()
    for number in range(7):
        for flags, stream in (({}, "training"), ({"held_out": True}, "held_out"), ({"second_split": True}, "second")):
            if stream == "held_out" and number >= 3:
                continue
            z = base * rng.uniform(0.5, 2) + rng.normal(size=base.shape)
            h, g, rate = rng.normal(size=(n, 3)), rng.normal(size=(n, 2, 2)), float(rng.uniform())
            loss_g = rng.normal(size=(n, 5))
            for i, history in enumerate(histories):
                view = {"z": z[i].tolist(), "h": h[i], "g": g[i].ravel(), "rate": rate}
                view["loss_g"] = loss_g[i]
                getattr(history, stream).append(view)
            for at in np.array_split(rng.permutation(n), 9):
                extra = (
                    {}
                    if flags
                    else {"features": h[at], "input_gradients": g[at], "rate": rate, "loss_gradients": loss_g[at]}
                )
                record.add(view=number, ids=at, logits=z[at], labels=labels[at], **flags, **extra)
    return record, histories


@pytest.mark.parametrize("name", hs.MEASURES)
def test_against_a_slow_history(both, name):
    record, histories = both
    np.testing.assert_allclose(record.measure(name), NAIVE[name](histories), rtol=1e-9, atol=1e-12)


def test_rows_are_complete_and_told(both):
    assert set(hs.MEASURES) == set(BY_HAND) == set(NAIVE)
    assert both[0].table.columns.tolist() == list(hs.MEASURES)
    for name, row in hs.MEASURES.items():
        assert row.name == name
        fields = row.to_dict()
        for field in ("what", "formula", "source", "cost"):
            assert fields[field].strip() == fields[field] != ""
        assert set(row.needs) <= set(OPTIONAL_INPUTS)


def test_the_page_shows_every_row():
    page = (Path(__file__).parents[2] / "docs" / "measures.md").read_text(encoding="utf-8")
    for row in hs.MEASURES.values():
        cells = (f"`{row.name}`", row.what, row.formula, row.source, row.cost)
        line = "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        assert line in page, line


def test_views_named_in_a_row():
    assert hs.MEASURES["loss"].views == "training or held-out"
    assert hs.MEASURES["forgetting"].views == "training"
    assert hs.MEASURES["memorization"].views == "held-out and training"
    assert hs.MEASURES["second-split-forgetting"].views == "second split"


# --- peers -----------------------------------------------------------------------------------------------------------


def test_confident_learning_against_cleanlab(both):
    rank = pytest.importorskip("cleanlab.rank")
    record, histories = both
    p = np.array([h.mean_p(h.held_out) for h in histories])
    y = np.array([h.label for h in histories])
    np.testing.assert_allclose(1 - record.measure("self-confidence"), rank.get_self_confidence_for_each_label(y, p))
    theirs = rank.get_normalized_margin_for_each_label(y, p)
    np.testing.assert_allclose((1 - record.measure("normalized-margin")) / 2, theirs)
    ours = record.measure("confidence-weighted-entropy")
    np.testing.assert_allclose(np.log(ours + 1) / ours, rank.get_confidence_weighted_entropy_for_each_label(y, p))


def test_aum_against_its_authors(both, tmp_path):
    aum = pytest.importorskip("aum")
    record, histories = both
    calculator = aum.AUMCalculator(str(tmp_path))
    for number in range(7):
        z = torch.tensor([h.training[number]["z"] for h in histories], dtype=torch.float64)
        calculator.update(z, torch.tensor([h.label for h in histories]), list(range(len(histories))))
    calculator.finalize()
    theirs = pd.read_csv(tmp_path / "aum_values.csv").set_index("sample_id")["aum"].sort_index()
    np.testing.assert_allclose(-record.measure("aum"), theirs, rtol=1e-9)


# --- gradients -------------------------------------------------------------------------------------------------------


def network():
    torch.manual_seed(3)
    body = nn.Sequential(nn.Linear(5, 4), nn.Tanh())
    return body, nn.Linear(4, 3), torch.randn(6, 5), torch.tensor([0, 1, 2, 0, 1, 2])


def slow_norm(parameters, loss):
    gradients = torch.autograd.grad(loss, list(parameters), retain_graph=True)
    return math.sqrt(sum(float(g.double().square().sum()) for g in gradients))


def test_exact_gradient_norms_are_autograd_s():
    body, head, x, y = network()
    whole = nn.Sequential(body, head)
    losses = nn.functional.cross_entropy(whole(x), y, reduction="none")
    expected = [slow_norm(whole.parameters(), loss) for loss in losses]
    np.testing.assert_allclose(gradient_norms(whole, x, y), expected, rtol=1e-5)
    body.requires_grad_(False)
    np.testing.assert_allclose(gradient_norms(whole, x, y), [slow_norm(head.parameters(), one) for one in losses], rtol=1e-5)
    assert all(p.grad is None for p in whole.parameters())


def test_closed_forms_are_autograd_s_for_the_last_layer():
    body, head, x, y = network()
    h = body(x)
    losses = nn.functional.cross_entropy(head(h), y, reduction="none")
    norms = np.array([slow_norm(head.parameters(), loss) for loss in losses])
    record = hs.Record(["grand", "self-influence"])
    record.add(view=0, ids=range_of(y), logits=head(h), labels=y, features=h, rate=0.3)
    np.testing.assert_allclose(record.measure("grand"), norms, rtol=1e-5)
    np.testing.assert_allclose(record.measure("self-influence"), 0.3 * norms**2, rtol=1e-5)


def test_input_gradients_are_autograd_s():
    body, head, x, y = network()
    whole = nn.Sequential(body, head)
    found = input_gradients(whole, x, y)
    for i in range(len(x)):
        alone = x[i : i + 1].clone().requires_grad_()
        whole(alone)[0, y[i]].backward()
        torch.testing.assert_close(found[i], alone.grad[0])
    assert not x.requires_grad
    of_loss = input_gradients(whole, x, y, of="loss")
    for i in range(len(x)):
        alone = x[i : i + 1].clone().requires_grad_()
        nn.functional.cross_entropy(whole(alone), y[i : i + 1]).backward()
        torch.testing.assert_close(of_loss[i], alone.grad[0])


def test_input_gradients_leave_the_training_alone():
    body, head, x, y = network()
    whole = nn.Sequential(body, head)
    with torch.no_grad():
        input_gradients(whole, x, y)
    assert all(p.grad is None for p in whole.parameters())


# --- neighbourhoods --------------------------------------------------------------------------------------------------


def test_neighbours_of_equal_samples_are_not_themselves():
    x = torch.zeros(4, 2)
    assert (
        knn_disagreement(x, torch.tensor([0, 1, 1, 1]), k=3).tolist()
        == [1.0, pytest.approx(1 / 3)] + [pytest.approx(1 / 3)] * 2
    )


def test_few_samples_have_few_neighbours():
    assert knn_disagreement(torch.eye(2), torch.tensor([0, 1])).tolist() == [1.0, 1.0]
    assert knn_disagreement(torch.eye(1), torch.tensor([0])).isnan().all()
    assert prototype_distance(torch.zeros(2, 2), 5).tolist() == [1.0, 1.0]
    assert centroid_distance(torch.eye(2)[:1], torch.tensor([7])).tolist() == [0.0]


# --- folds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fold", [MEANS, MOMENTS, TOTALS, LATEST, RUNS], ids=lambda fold: fold.name)
@given(data=st.data())
def test_merging_is_cutting_undone(fold, data):
    """Any way to cut the views, with empty stretches, folded and merged in any nesting, is the fold of them all."""
    views = data.draw(st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=3, max_size=3), min_size=1, max_size=8))
    values = torch.tensor(views, dtype=torch.float64)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(views)), min_size=2, max_size=2)))

    def folded(part):
        state = fold.start(3, values[0])
        for view in part:
            state = fold.add(state, view)
        return state

    whole = folded(values)
    a, b, c = (folded(part) for part in (values[: cuts[0]], values[cuts[0] : cuts[1]], values[cuts[1] :]))
    for merged in (fold.merge(fold.merge(a, b), c), fold.merge(a, fold.merge(b, c))):
        assert merged.keys() == whole.keys()
        for name, column in whole.items():
            assert merged[name].dtype == column.dtype
            torch.testing.assert_close(merged[name], column, rtol=1e-12, atol=1e-12)


def test_moments_stand_far_from_zero():
    state = MOMENTS.start(1, torch.zeros(1, dtype=torch.float64))
    values = 1e9 + torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    for value in values:
        state = MOMENTS.add(state, value[None])
    assert state["spread"].item() == pytest.approx(2.0, rel=1e-6)


def test_statistics_of_sure_predictions_keep_their_digits():
    """1 - p_y is exact where p_y rounds to one: the order of the easiest samples is real."""
    view = View(torch.tensor([[30.0, 0.0], [34.0, 0.0]], dtype=torch.float64), torch.tensor([0, 0]))
    record = hs.Record(["confidence", "el2n"])
    record.add(view=0, ids=[0, 1], logits=view.logits, labels=view.labels)
    assert record.measure("confidence").tolist() == pytest.approx([math.exp(-30), math.exp(-34)], rel=0.2)
    assert record.measure("el2n")[0] > record.measure("el2n")[1] > 0


# --- rows of one's own -----------------------------------------------------------------------------------------------


def test_a_row_of_my_own():
    mine = Measure("worst", "", "", "", "", pair(LOG_LOSS, MEAN))
    doubled = Measure("twice", "", "", "", "", Score(mine.score.columns, lambda labels, state: 2 * state["mean"] + labels))
    record = hs.Record(["loss", mine, doubled])
    record.add(view=0, ids=[4], logits=[log(0.5, 0.5)], labels=[1])
    assert record.table.loc[4].tolist() == pytest.approx([LN2, LN2, 2 * LN2 + 1])


# --- truth -----------------------------------------------------------------------------------------------------------

FINDS = {  # the least AUROC with which flipped labels must come first
    "loss": 0.99, "confidence": 0.99, "correctness": 0.98, "el2n": 0.99, "el2n-squared": 0.99, "grand": 0.98, "aum": 0.99,
    "forgetting": 0.9, "first-learned": 0.95, "knn-disagreement": 0.98, "prototypicality": 0.7, "self-influence": 0.97,
}  # fmt: skip


class Rows(torch.utils.data.Dataset):
    """Digits that know their ids."""

    def __init__(self, x, y, ids):
        self.x, self.y, self.ids = x, y, ids

    def __len__(self):
        return len(self.y)

    def __getitem__(self, at):
        return self.x[at], self.y[at], self.ids[at]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_flipped_labels_come_first_in_a_real_loop(flipped_digits):
    """One training, a shuffled loader with two workers, ids that are no positions."""
    X, y, flipped = flipped_digits(0)
    assert X.shape == load_digits().data.shape
    ids = [f"digit-{i * 7919 % 1797}" for i in range(1797)]
    torch.manual_seed(0)
    body, head = nn.Sequential(nn.Linear(64, 64), nn.ReLU()), nn.Linear(64, 10)
    optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()], 3e-3)
    loader = torch.utils.data.DataLoader(
        Rows(torch.tensor(X / 16, dtype=torch.float32), y, ids), batch_size=128, shuffle=True, num_workers=2,
        persistent_workers=True,
    )  # fmt: skip
    record = hs.Record()
    for epoch in range(12):
        for x, t, names in loader:
            h = body(x)
            z = head(h)
            loss = nn.functional.cross_entropy(z, t)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            record.add(view=epoch, ids=names, logits=z, labels=t, features=h, rate=3e-3)
    table = record.table.loc[ids]
    found = {name: roc_auc_score(flipped, table[name]) for name in FINDS}
    assert all(found[name] > least for name, least in FINDS.items()), found
