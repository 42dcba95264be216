"""The field: every score that the study of measures ranks, by the trainings it is read from. Higher is harder.

An entrant gets samples whose labels may be wrong and nothing that tells which, trains what it trains once, and reads all
its measures from that. Peers run as they are installed; one that is missing or fails is told of, not left out.
"""

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from hardsight.attribution.names import FACTORS
from hardsight.difficulty.result import Difficulty
from hardsight.errors import InputError, first_line
from hardsight.estimation.measure import measure
from hardsight.estimation.request import Estimate
from hardsight.measures import MEASURES
from hardsight.measures.measure import Stream
from hardsight.measures.record import Record
from hardsight_bench.hcat_training import RATE, HcatTraining

EPOCHS, EARLY, TRAININGS, FOLDS = 10, 5, 10, 5
"""Epochs of a plain training; the early one at which EL2N and GraNd are read; how many are averaged; folds."""

Score = Callable[[], Any]


class MethodInput:
    """What an entrant is given.

    Args:
        x: features, ``(sample, feature)`` float32; images as rows of pixels.
        y: labels as given, ``(sample,)``.
        images: whether rows are pixels, which are left on their scale; other features are standardised for those who do
            not do so themselves.
        stream: of all random numbers.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, images: bool, stream: np.random.SeedSequence) -> None:
        self.x, self.images, self.stream = x, images, stream
        self.y = np.unique(y, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def inputs(self) -> Tensor:
        """Features on a common scale, ``(sample, feature)`` float32."""
        if self.images:
            return torch.from_numpy(self.x)
        spread = self.x.std(0)
        return torch.from_numpy(((self.x - self.x.mean(0)) / np.where(spread > 0, spread, 1)).astype(np.float32))

    @cached_property
    def labels(self) -> Tensor:
        """Class codes without gaps, ``(sample,)``."""
        return torch.from_numpy(self.y)


class MethodScore(NamedTuple):
    """A measure's scores.

    Attributes:
        measure: its name, with the trainings that it was read from.
        by: whose it is: hardsight; classic (published, as ``hs.Record`` computes it); a peer's name; yours; control.
        trainings: models trained for it; other measures may be read from the same ones.
        seconds: of CPU time, all trainings included.
        values: ``(sample,)``, higher is harder; None where there are none.
        fault: why there are none.
    """

    measure: str
    by: str
    trainings: int
    seconds: float
    values: np.ndarray | None
    fault: str = ""


Method = Callable[[MethodInput], Iterator[MethodScore]]


class _Pool:
    """Trainings that several measures share, and what they took."""

    def __init__(self, samples: int, trainings: int) -> None:
        self.samples, self.trainings = samples, trainings
        self._start, self._seconds = time.process_time(), 0.0

    def done(self) -> "_Pool":
        self._seconds = time.process_time() - self._start
        return self

    def scored(self, name: str, by: str, score: Score) -> MethodScore:
        start = time.process_time()
        values, fault = _attempted(score, self.samples)
        return MethodScore(name, by, self.trainings, self._seconds + time.process_time() - start, values, fault)


def _attempted(score: Score, samples: int) -> tuple[np.ndarray | None, str]:
    try:
        return check_scores(score(), samples), ""
    except Exception as fault:  # noqa: BLE001 - whatever happens inside a measure is a row of the table
        return None, f"{type(fault).__name__}: {first_line(fault)}"


def check_scores(scores: Any, samples: int) -> np.ndarray:
    """Scores as float64.

    Raises:
        InputError: not one number a sample.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (samples,):
        raise InputError(f"a measure must return one score a sample, shape ({samples},). Got {values.shape}")
    unknown = int(np.isnan(values).sum())
    if unknown:
        raise InputError(f"{unknown} of {samples} scores are NaN: give every sample a number, higher for harder")
    return values


def _recorded(pool: _Pool, record: Record, suffix: str) -> Iterator[MethodScore]:
    for name in record.measures:
        yield pool.scored(f"{name} ({suffix})", "classic", partial(record.measure, name))


def _reading(need: Stream | None, allow: Stream | None) -> list[str]:
    """Names of the measures that read views of the first kind, and of no kind beyond the second."""
    streams = {row.name: {column.stream for column in row.score.columns} for row in MEASURES.values()}
    return [name for name, read in streams.items() if need in read and read <= {need, allow}]


def training_dynamics(given: MethodInput) -> Iterator[MethodScore]:
    """One training, recorded after each of its epochs, on the samples that it learns from."""
    # Of the epochs of one training they would tell its course, and not how models differ.
    several = ("agreement", "bald")
    names = [name for name in [*_reading(None, None), *_reading("training", None)] if name not in several]
    pool, record, ids = _Pool(len(given.y), 1), Record(names), np.arange(len(given.y))
    logits = []
    for epoch, passed in enumerate(HcatTraining(given.inputs, given.labels, given.stream).epochs(EPOCHS)):
        logits.append(passed.logits)
        record.add(
            view=epoch,
            ids=ids,
            logits=passed.logits,
            labels=given.labels,
            features=passed.features,
            input_gradients=passed.input_gradients,
            rate=RATE,
        )
    pool.done()
    yield from _recorded(pool, record, "1")
    yield pool.scored("aum package (1)", "aum", partial(_aum, logits, given.labels))


def _aum(logits: list[Tensor], labels: Tensor) -> np.ndarray:
    from aum import AUMCalculator

    calculator = AUMCalculator("unused")
    for each in logits:
        calculator.update(each, labels, list(range(len(labels))))
    return np.array([-calculator.sums[i] / calculator.counts[i] for i in range(len(labels))])


def second_split(given: MethodInput) -> Iterator[MethodScore]:
    """Two trainings on a half each, each then continued on the other half while the first is forgotten."""
    pool, record = _Pool(len(given.y), 2), Record(["second-split-forgetting"])
    deal, *streams = given.stream.spawn(3)
    shuffled = torch.from_numpy(np.random.default_rng(deal).permutation(len(given.y)))
    halves = shuffled[: len(shuffled) // 2], shuffled[len(shuffled) // 2 :]
    for (first, second), stream in zip((halves, halves[::-1]), streams, strict=True):
        training = HcatTraining(given.inputs, given.labels, stream)
        for _ in training.epochs(EPOCHS, first):
            pass
        for epoch, passed in enumerate(training.epochs(EPOCHS, second)):
            record.add(
                view=epoch,
                ids=first.numpy(),
                logits=passed.logits[first],
                labels=given.labels[first],
                second_split=True,
            )
    yield from _recorded(pool.done(), record, "2")


def repeated_trainings(given: MethodInput) -> Iterator[MethodScore]:
    """Ten trainings: early ones for EL2N and GraNd as in their paper, whole ones for means over all and agreement."""
    pool, ids = _Pool(len(given.y), TRAININGS), np.arange(len(given.y))
    early, late = Record(["el2n", "el2n-squared", "grand"]), Record(["agreement", "bald"])
    whole = Record(["loss", "confidence", "aum", "el2n", "grand"])
    for index, stream in enumerate(given.stream.spawn(TRAININGS)):
        for epoch, passed in enumerate(HcatTraining(given.inputs, given.labels, stream).epochs(EPOCHS), start=1):
            told: dict[str, Any] = {
                "ids": ids,
                "logits": passed.logits,
                "labels": given.labels,
                "features": passed.features,
            }
            whole.add(view=index * EPOCHS + epoch, **told)
            if epoch == EARLY:
                early.add(view=index, **told)
            if epoch == EPOCHS:
                late.add(view=index, **told)
    pool.done()
    yield from _recorded(pool, early, "10 early")
    yield from _recorded(pool, whole, "10")
    yield from _recorded(pool, late, "10")


def ensembles(given: MethodInput) -> Iterator[MethodScore]:
    """``hs.measure`` as it comes, with 10 and with 50 models, and what else is read from the same models' predictions."""
    few, many = given.stream.spawn(2)
    yield from _ten(given, few)
    yield from _fifty(given, many)


def _measured(
    given: MethodInput, repeats: int, stream: np.random.SeedSequence, record: Record | None = None
) -> Difficulty:
    seed = int(stream.generate_state(1)[0])
    # A pilot would train as many models again as the ten.
    return measure(
        given.x,
        given.y,
        folds=FOLDS,
        repeats=repeats,
        seed=seed,
        record=record,
        estimate=Estimate(pilot=record is not None),
        refine=False,
    )


def _ten(given: MethodInput, stream: np.random.SeedSequence) -> Iterator[MethodScore]:
    pool = _Pool(len(given.y), 2 * FOLDS)
    found = _measured(given, 2, stream)
    pool.done()
    yield pool.scored("error (10)", "hardsight", lambda: found.error)
    yield pool.scored("adjusted (10)", "hardsight", lambda: found.error if found.adjusted is None else found.adjusted)
    yield from _cleanlab_labels(given, found, pool)


def _cleanlab_labels(given: MethodInput, found: Difficulty, pool: _Pool) -> Iterator[MethodScore]:
    """The scores of cleanlab for the same held-out predictions."""
    prob = np.exp(cast(np.ndarray, found.consensus))

    def quality(method: str, adjust: bool) -> Any:
        from cleanlab.rank import get_label_quality_scores

        return -get_label_quality_scores(given.y, prob, method=method, adjust_pred_probs=adjust)

    def unusual() -> Any:
        from cleanlab.outlier import OutOfDistribution

        return -OutOfDistribution().fit_score(pred_probs=prob, labels=given.y, verbose=False)

    for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
        yield pool.scored(f"cleanlab {method} (10)", "cleanlab", partial(quality, method, adjust=False))
    # cleanlab adjusts no entropies.
    for method in ("self_confidence", "normalized_margin"):
        yield pool.scored(f"cleanlab {method}, adjusted (10)", "cleanlab", partial(quality, method, adjust=True))
    yield pool.scored("cleanlab out-of-distribution (10)", "cleanlab", unusual)


def _fifty(given: MethodInput, stream: np.random.SeedSequence) -> Iterator[MethodScore]:
    of_either = ("entropy", "agreement", "bald")
    pool = _Pool(len(given.y), 10 * FOLDS)
    record = Record([*_reading("held-out", "training"), *of_either])
    found = _measured(given, 10, stream, record)
    pool.done()
    pool.trainings += found.settings["pilot"]["models"]
    for name, values in hardsight_scores(found).items():
        yield pool.scored(f"{name} (50)", "hardsight", partial(np.asarray, values))
    for name in record.measures:
        held_out = True if name in of_either else None
        yield pool.scored(f"{name} (50)", "classic", partial(record.measure, name, held_out))


def hardsight_scores(found: Difficulty) -> dict[str, np.ndarray]:
    """What a result holds of every sample, by name."""
    assert found.factors is not None
    assert found.hardness is not None
    assert found.p_wrong is not None
    lines = {name: found.factors[name].to_numpy() for name in FACTORS}
    return {
        "hardness": found.hardness,
        "error": found.error,
        "p_wrong": found.p_wrong,
        **lines,
        "variance": found.variance,
    }


def inputs_only(given: MethodInput) -> Iterator[MethodScore]:
    """No training: neighbours and centres among the inputs."""
    pool = _Pool(len(given.y), 0)
    record = Record(["knn-disagreement", "prototypicality", "self-supervised-prototype"])
    # A record reads predictions, and there are none; these are read by no measure below.
    none = torch.zeros(len(given.y), int(given.y.max()) + 1)
    record.add(view=0, ids=np.arange(len(given.y)), logits=none, labels=given.labels, features=given.inputs)
    pool.done()
    yield from _recorded(pool, record, "inputs")

    def outlier() -> Any:
        from cleanlab.outlier import OutOfDistribution

        return -OutOfDistribution().fit_score(features=given.inputs.numpy(), verbose=False)

    def shapley() -> Any:
        from cleanlab.data_valuation import data_shapley_knn

        return -data_shapley_knn(given.y, features=given.inputs.numpy())

    yield pool.scored("cleanlab out-of-distribution (inputs)", "cleanlab", outlier)
    yield pool.scored("cleanlab kNN-Shapley (inputs)", "cleanlab", shapley)


def random_control(given: MethodInput) -> Iterator[MethodScore]:
    """Random numbers."""
    rng = np.random.default_rng(given.stream)
    yield _Pool(len(given.y), 0).scored("random", "control", lambda: rng.random(len(given.y)))


METHODS: dict[str, Method] = {
    "dynamics": training_dynamics,
    "second split": second_split,
    "trainings": repeated_trainings,
    "ensembles": ensembles,
    "untrained": inputs_only,
    "control": random_control,
}


def load_user_method(name: str) -> Method:
    """An entrant from ``module:function``, a function of ``(x, y, seed)`` that returns a score a sample, higher for harder.

    Raises:
        InputError: it is not written so, or there is no such function.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise InputError(f"a measure is named module:function. Got {name!r}")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        function = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as fault:
        raise InputError(f"there is no measure {name}: {first_line(fault)}") from fault
    if not callable(function):
        raise InputError(f"{name} is no function: a measure is called with (x, y, seed)")

    def entrant(given: MethodInput) -> Iterator[MethodScore]:
        seed = int(given.stream.generate_state(1)[0])
        yield _Pool(len(given.y), 0).scored(name, "yours", lambda: function(given.x.copy(), given.y.copy(), seed))

    return entrant


def run_method(name: str, entrant: Method, given: MethodInput) -> list[MethodScore]:
    """All scores of an entrant; its own failure is one score without values."""
    with warnings.catch_warnings():
        # What a measure warns of, cell after cell, would hide the progress.
        warnings.simplefilter("ignore")
        found: list[MethodScore] = []
        try:
            found.extend(entrant(given))
        except Exception as fault:  # noqa: BLE001 - as for single measures
            found.append(MethodScore(name, "", 0, 0.0, None, f"{type(fault).__name__}: {first_line(fault)}"))
        return found
