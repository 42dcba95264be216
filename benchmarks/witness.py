"""What a witness that never saw the labels brings to P(label wrong), and whether a bad one does harm.

    python benchmarks/witness.py --data FOLDER [--most 1000] [--rows FILE] > benchmarks/witness.md

Every scenario is measured once (learner "auto" without the search for the training length, 4 repeats); then each witness is
added to the posterior of the true labels of that run.
"""

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from hardsight_bench.factors import calibration_error
from hardsight_bench.weights_scenarios import Cell, Scenario, make_scenario
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hardsight import Estimate, Samples
from hardsight.attribution.label_noise import LabelPosterior
from hardsight.attribution.label_noise.independent_witness import IndependentWitness
from hardsight.attribution.neighbours import Neighbours
from hardsight.estimation.job import plan_job
from hardsight.estimation.learner_comparison import compare_learners
from hardsight.estimation.request import Request
from hardsight.estimation.true_labels import infer_true_labels
from hardsight.estimation.witnesses import use_witnesses
from hardsight.measures.held_out import HeldOut

# The form of the model was chosen on the first half.
CHOSEN_ON = ("digits", "letter", "penbased", "products", "magic", "vowel")
OTHERS = ("fashion", "satellite", "texture", "phoneme", "segment", "vehicle")
NOISES = {"instance-35": "where models err, 35 %", "uniform-20": "to any other class, 20 %", "none": "none wrong"}


class Run(NamedTuple):
    """A measured scenario."""

    posterior: LabelPosterior
    held_out: HeldOut
    neighbours: Neighbours | None


def measure(scenario: Scenario) -> Run:
    """Measure a scenario as :func:`hardsight.measure` does, and keep what a witness is added to."""
    request = Request(repeats=4, duplicates="apart", estimate=Estimate(pilot=False)).checked()
    job = plan_job(Samples.of(scenario.x, scenario.y), request)
    job = compare_learners(job, job.make_runner())
    runner = job.make_runner()
    held_out = runner.run(job.plan, job.stop_rule(), lambda _: None, None).held_out
    info = infer_true_labels(job, held_out, runner).info
    assert info.posterior is not None
    return Run(info.posterior, held_out, info.neighbours)


Make = Callable[[Scenario, np.random.Generator], np.ndarray]


def right_on(share: float, of_given: bool = False) -> Make:
    """Return a witness that is right on a share of the samples, wherever they are; or repeats the given labels there."""

    def answer(scenario: Scenario, rng: np.random.Generator) -> np.ndarray:
        about = scenario.y if of_given else scenario.true
        other = (about + rng.integers(1, n_classes(scenario), len(about))) % n_classes(scenario)
        return one_hot(np.where(rng.random(len(about)) < share, about, other), n_classes(scenario))

    return answer


def wrong_where_ambiguous(scenario: Scenario, rng: np.random.Generator) -> np.ndarray:
    """Return a witness that is wrong on 20 % of the samples, as a linear model of the clean test set would be."""
    p = fit(scenario, rng.permutation(len(scenario.test_y))[:1500])
    p[np.arange(len(p)), scenario.true] = 0
    chance = p.sum(1) + 0.01
    rows = rng.choice(len(p), len(p) // 5, replace=False, p=chance / chance.sum())
    labels = scenario.true.copy()
    labels[rows] = ((p[rows] + 1e-6 * (p[rows] > 0)) / rng.exponential(size=(len(rows), p.shape[1]))).argmax(1)
    return one_hot(labels, n_classes(scenario))


def weak_model(scenario: Scenario, rng: np.random.Generator) -> np.ndarray:
    """Return log-probabilities of logistic regression on 50 clean samples, or two of each class and more in proportion."""
    order = rng.permutation(len(scenario.test_y))
    first = [order[scenario.test_y[order] == c][:2] for c in range(n_classes(scenario))]
    chosen = np.concatenate(first)
    rest = np.setdiff1d(order, chosen)
    more = rng.permutation(rest)[: max(0, 50 - len(chosen))]
    return np.log(fit(scenario, np.concatenate([chosen, more])) + 1e-6)


WITNESSES: dict[str, Make] = {
    "right on 80 %, anywhere": right_on(0.8),
    "wrong on 20 %, where samples are ambiguous": wrong_where_ambiguous,
    "a model of 50 clean samples": weak_model,
    "random labels": lambda s, rng: one_hot(rng.integers(0, n_classes(s), len(s.y)), n_classes(s)),
    "a copy of the given labels": lambda s, _: one_hot(s.y, n_classes(s)),
    "the given labels on 80 %, random elsewhere": right_on(0.8, of_given=True),
}


def n_classes(scenario: Scenario) -> int:
    """Return the number of classes."""
    return int(max(scenario.true.max(), scenario.y.max())) + 1


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return the scores of a witness that gives labels."""
    scores: np.ndarray = np.eye(classes)[labels]
    return scores


def fit(scenario: Scenario, rows: np.ndarray) -> np.ndarray:
    """Return probabilities of the training samples by logistic regression on rows of the clean test set."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    p = np.zeros((len(scenario.x), n_classes(scenario)))
    model.fit(scenario.test_x[rows], scenario.test_y[rows])
    p[:, model.classes_] = model.predict_proba(scenario.x)
    return p


def score(scenario: Scenario, posterior: LabelPosterior) -> dict[str, float]:
    """Return how good P(label wrong) is."""
    p_wrong, wrong = posterior.p_wrong.numpy(), scenario.y != scenario.true
    return {
        "calibration": calibration_error(p_wrong, wrong),
        "precision": float(average_precision_score(wrong, p_wrong)) if wrong.any() else np.nan,
        "squared": float(((p_wrong - wrong) ** 2).mean()),
    }


def study(name: str, noise: str, folder: Path, most: int) -> list[dict[str, object]]:
    """Return one row per witness, the first without one."""
    scenario = make_scenario(Cell(name, noise, "none", 0), folder, most)
    run = measure(scenario)
    cell = {"set": name, "noise": noise}
    rows: list[dict[str, object]] = [cell | {"witness": "none", "used": False} | score(scenario, run.posterior)]
    for number, (word, make) in enumerate(WITNESSES.items()):
        scores = torch.from_numpy(make(scenario, np.random.default_rng([0, number])))
        witness = IndependentWitness(word, scores, torch.ones(len(scores), dtype=torch.bool))
        result = use_witnesses(run.posterior, run.held_out, [witness], run.neighbours)
        used = not result.records[0]["why_unused"]
        rows.append(cell | {"witness": word, "used": used} | score(scenario, result.posterior))
    return rows


def page(table: pd.DataFrame, most: int) -> str:
    """Return the page."""
    intro = (
        f"Sets of at most {most} training samples, one seed; means over the sets that the model was chosen on "
        f"({', '.join(CHOSEN_ON)}) / over the others ({', '.join(OTHERS)}). Harmed: sets whose squared error of P(wrong) "
        "rises by more than .005. The model: `hardsight.attribution.label_noise.independent_witness`."
    )
    lines = ["# Witnesses that never saw the labels", "", "`python benchmarks/witness.py --data FOLDER`", "", intro, ""]
    for noise, word in NOISES.items():
        part = table[table.noise == noise]
        if part.empty:
            continue
        lines += [f"## Labels that are wrong: {word}", ""]
        lines += ["| witness | used | calibration error of P(wrong) | its average precision | its squared error | harmed |"]
        lines += ["|---|--:|--:|--:|--:|--:|"]
        without = part[part.witness == "none"].set_index("set").squared
        for witness in ["none", *WITNESSES]:
            rows = part[part.witness == witness].set_index("set")
            harmed = int((rows.squared > without.reindex(rows.index) + 0.005).sum())
            halves = [rows[rows.index.isin(half)] for half in (CHOSEN_ON, OTHERS)]
            cells = [" / ".join(_number(half[column].mean()) for half in halves) for column in ("calibration", "precision")]
            cells.append(" / ".join(_number(half.squared.mean(), 4) for half in halves))
            used = "" if witness == "none" else f"{int(rows.used.sum())} of {len(rows)}"
            lines.append(f"| {witness} | {used} | {' | '.join(cells)} | {'' if witness == 'none' else harmed} |")
        lines.append("")
    return "\n".join(lines)


def _number(value: float, digits: int = 3) -> str:
    return "–" if np.isnan(value) else f"{value:.{digits}f}".removeprefix("0")


def main() -> None:
    """Run the study and print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--most", type=int, default=1000, help="training samples per set")
    parser.add_argument("--rows", type=Path, help="csv file of all rows, which an interrupted study continues from")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    done = pd.read_csv(options.rows) if options.rows and options.rows.exists() else pd.DataFrame(columns=["set", "noise"])
    for noise in NOISES:
        for name in (each for pair in zip(CHOSEN_ON, OTHERS, strict=True) for each in pair):
            if ((done["set"] == name) & (done.noise == noise)).any():
                continue
            done = pd.concat([done, pd.DataFrame(study(name, noise, options.data, options.most))], ignore_index=True)
            if options.rows:
                done.to_csv(options.rows, index=False)
    print(page(done, options.most))


if __name__ == "__main__":
    main()
