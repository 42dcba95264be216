"""Methods of the study of measures: every score that it ranks, by the trainings it is computed from. Higher is harder.

A method gets samples whose labels may be wrong, with nothing that tells which. It trains once, and computes all its
measures from that. Third-party packages run as installed; a missing or failing one is reported, not left out.
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
"""Epochs of a plain training; the early epoch of EL2N and GraNd; number of trainings to average; folds."""

Score = Callable[[], Any]


class MethodInput:
    """The input of a method.

    Args:
        x: features, ``(sample, feature)`` float32; images as rows of pixels.
        y: given labels, ``(sample,)``.
        images: whether rows are pixels, which keep their scale; other features are standardised for methods that do not
            do so themselves.
        stream: source of all random numbers.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, images: bool, stream: np.random.SeedSequence) -> None:
        self.x, self.images, self.stream = x, images, stream
        self.y = np.unique(y, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def inputs(self) -> Tensor:
        """Return features on a common scale, ``(sample, feature)`` float32."""
        if self.images:
            return torch.from_numpy(self.x)
        spread = self.x.std(0)
        return torch.from_numpy(((self.x - self.x.mean(0)) / np.where(spread > 0, spread, 1)).astype(np.float32))

    @cached_property
    def labels(self) -> Tensor:
        """Return class codes without gaps, ``(sample,)``."""
        return torch.from_numpy(self.y)


class MethodScore(NamedTuple):
    """The scores of a measure.

    Attributes:
        measure: its name, with the trainings it was computed from.
        by: its origin: hardsight; classic (published, as ``hs.Record`` computes it); the name of a package; yours;
            control.
        trainings: models trained for it; other measures may use the same ones.
        seconds: of CPU time, including all trainings.
        values: ``(sample,)``, higher is harder; None if it failed.
        fault: why it failed.
    """

    measure: str
    by: str
    trainings: int
    seconds: float
    values: np.ndarray | None
    fault: str = ""


Method = Callable[[MethodInput], Iterator[MethodScore]]


class _Pool:
    """Trainings shared by several measures, and the time they took."""

    def __init__(self, samples: int, trainings: int) -> None:
        self.samples, self.trainings = samples, trainings
        self._start, self._seconds = time.process_time(), 0.0

    def stop_clock(self) -> "_Pool":
        self._seconds = time.process_time() - self._start
        return self

    def score(self, name: str, by: str, score: Score) -> MethodScore:
        start = time.process_time()
        values, fault = _try_score(score, self.samples)
        return MethodScore(name, by, self.trainings, self._seconds + time.process_time() - start, values, fault)


def _try_score(score: Score, samples: int) -> tuple[np.ndarray | None, str]:
    try:
        return check_scores(score(), samples), ""
    except Exception as fault:  # noqa: BLE001 - whatever happens inside a measure is a row of the table
        return None, f"{type(fault).__name__}: {first_line(fault)}"


def check_scores(scores: Any, samples: int) -> np.ndarray:
    """Return scores as float64.

    Raises:
        InputError: not one number per sample.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (samples,):
        raise InputError(f"a measure must return one score per sample, shape ({samples},). Got {values.shape}")
    unknown = int(np.isnan(values).sum())
    if unknown:
        raise InputError(f"{unknown} of {samples} scores are NaN: give every sample a number, higher for harder")
    return values


def _record_scores(pool: _Pool, record: Record, suffix: str) -> Iterator[MethodScore]:
    for name in record.measures:
        yield pool.score(f"{name} ({suffix})", "classic", partial(record.measure, name))


def _measures_reading(need: Stream | None, allow: Stream | None) -> list[str]:
    """Return the names of measures that read views of the first kind, and of no kind except the two."""
    streams = {measure.name: {column.stream for column in measure.score.columns} for measure in MEASURES.values()}
    return [name for name, read in streams.items() if need in read and read <= {need, allow}]


def training_dynamics(data: MethodInput) -> Iterator[MethodScore]:
    """One training, recorded on its training samples after each epoch."""
    # Over the epochs of one training these would describe its progress, not disagreement of models.
    # Nor are gradients of the inputs recorded.
    left_out = ("agreement", "bald", "cumulative-input-gradient")
    names = [name for name in [*_measures_reading(None, None), *_measures_reading("training", None)] if name not in left_out]
    pool, record, ids = _Pool(len(data.y), 1), Record(names), np.arange(len(data.y))
    logits = []
    for epoch, output in enumerate(HcatTraining(data.inputs, data.labels, data.stream).epochs(EPOCHS)):
        logits.append(output.logits)
        record.add(
            view=epoch,
            ids=ids,
            logits=output.logits,
            labels=data.labels,
            features=output.features,
            input_gradients=output.input_gradients,
            rate=RATE,
        )
    pool.stop_clock()
    yield from _record_scores(pool, record, "1")
    yield pool.score("aum package (1)", "aum", partial(_aum, logits, data.labels))


def _aum(logits: list[Tensor], labels: Tensor) -> np.ndarray:
    from aum import AUMCalculator

    calculator = AUMCalculator("unused")
    for each in logits:
        calculator.update(each, labels, list(range(len(labels))))
    return np.array([-calculator.sums[i] / calculator.counts[i] for i in range(len(labels))])


def second_split(data: MethodInput) -> Iterator[MethodScore]:
    """Two trainings on one half each, then continued on the other half, so that the first is forgotten."""
    pool, record = _Pool(len(data.y), 2), Record(["second-split-forgetting"])
    split, *streams = data.stream.spawn(3)
    shuffled = torch.from_numpy(np.random.default_rng(split).permutation(len(data.y)))
    halves = shuffled[: len(shuffled) // 2], shuffled[len(shuffled) // 2 :]
    for (first, second), stream in zip((halves, halves[::-1]), streams, strict=True):
        training = HcatTraining(data.inputs, data.labels, stream)
        for _ in training.epochs(EPOCHS, first):
            pass
        for epoch, output in enumerate(training.epochs(EPOCHS, second)):
            record.add(
                view=epoch, ids=first.numpy(), logits=output.logits[first], labels=data.labels[first], second_split=True
            )
    yield from _record_scores(pool.stop_clock(), record, "2")


def repeated_trainings(data: MethodInput) -> Iterator[MethodScore]:
    """Ten trainings: early epochs for EL2N and GraNd as in their paper; all epochs for means, and agreement."""
    pool, ids = _Pool(len(data.y), TRAININGS), np.arange(len(data.y))
    early, late = Record(["el2n", "el2n-squared", "grand"]), Record(["agreement", "bald"])
    whole = Record(["loss", "confidence", "aum", "el2n", "grand"])
    for index, stream in enumerate(data.stream.spawn(TRAININGS)):
        for epoch, output in enumerate(HcatTraining(data.inputs, data.labels, stream).epochs(EPOCHS), start=1):
            view: dict[str, Any] = {"ids": ids, "logits": output.logits, "labels": data.labels, "features": output.features}
            whole.add(view=index * EPOCHS + epoch, **view)
            if epoch == EARLY:
                early.add(view=index, **view)
            if epoch == EPOCHS:
                late.add(view=index, **view)
    pool.stop_clock()
    yield from _record_scores(pool, early, "10 early")
    yield from _record_scores(pool, whole, "10")
    yield from _record_scores(pool, late, "10")


def ensembles(data: MethodInput) -> Iterator[MethodScore]:
    """``hs.measure`` with defaults, with 10 and with 50 models, and other measures of the same models' predictions."""
    few, many = data.stream.spawn(2)
    yield from _ten_models(data, few)
    yield from _fifty_models(data, many)


def _measure(data: MethodInput, repeats: int, stream: np.random.SeedSequence, record: Record | None = None) -> Difficulty:
    seed = int(stream.generate_state(1)[0])
    # The search for the training length would train as many models again as the ten.
    return measure(
        data.x,
        data.y,
        folds=FOLDS,
        repeats=repeats,
        seed=seed,
        record=record,
        estimate=Estimate(pilot=record is not None),
        refine=False,
    )


def _ten_models(data: MethodInput, stream: np.random.SeedSequence) -> Iterator[MethodScore]:
    pool = _Pool(len(data.y), 2 * FOLDS)
    difficulty = _measure(data, 2, stream)
    pool.stop_clock()
    yield pool.score("error (10)", "hardsight", lambda: difficulty.error)
    yield pool.score(
        "adjusted (10)", "hardsight", lambda: difficulty.error if difficulty.adjusted is None else difficulty.adjusted
    )
    yield from _cleanlab_label_scores(data, difficulty, pool)


def _cleanlab_label_scores(data: MethodInput, difficulty: Difficulty, pool: _Pool) -> Iterator[MethodScore]:
    """Yield the scores of cleanlab for the same held-out predictions."""
    prob = np.exp(cast(np.ndarray, difficulty.consensus))

    def quality(method: str, adjust: bool) -> Any:
        from cleanlab.rank import get_label_quality_scores

        return -get_label_quality_scores(data.y, prob, method=method, adjust_pred_probs=adjust)

    def out_of_distribution() -> Any:
        from cleanlab.outlier import OutOfDistribution

        return -OutOfDistribution().fit_score(pred_probs=prob, labels=data.y, verbose=False)

    for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
        yield pool.score(f"cleanlab {method} (10)", "cleanlab", partial(quality, method, adjust=False))
    # cleanlab does not adjust entropies.
    for method in ("self_confidence", "normalized_margin"):
        yield pool.score(f"cleanlab {method}, adjusted (10)", "cleanlab", partial(quality, method, adjust=True))
    yield pool.score("cleanlab out-of-distribution (10)", "cleanlab", out_of_distribution)


def _fifty_models(data: MethodInput, stream: np.random.SeedSequence) -> Iterator[MethodScore]:
    ensemble_measures = ("entropy", "agreement", "bald")
    pool = _Pool(len(data.y), 10 * FOLDS)
    record = Record([*_measures_reading("held-out", "training"), *ensemble_measures])
    difficulty = _measure(data, 10, stream, record)
    pool.stop_clock()
    pool.trainings += difficulty.settings["pilot"]["models"]
    for name, values in hardsight_scores(difficulty).items():
        yield pool.score(f"{name} (50)", "hardsight", partial(np.asarray, values))
    for name in record.measures:
        held_out = True if name in ensemble_measures else None
        yield pool.score(f"{name} (50)", "classic", partial(record.measure, name, held_out))


def hardsight_scores(difficulty: Difficulty) -> dict[str, np.ndarray]:
    """Return the per-sample values of a result, by name."""
    assert difficulty.factors is not None
    assert difficulty.hardness is not None
    assert difficulty.p_wrong is not None
    lines = {name: difficulty.factors[name].to_numpy() for name in FACTORS}
    return {
        "hardness": difficulty.hardness,
        "error": difficulty.error,
        "p_wrong": difficulty.p_wrong,
        **lines,
        "variance": difficulty.variance,
    }


def inputs_only(data: MethodInput) -> Iterator[MethodScore]:
    """No training: neighbours and class centres of the inputs."""
    pool = _Pool(len(data.y), 0)
    record = Record(["knn-disagreement", "prototypicality", "self-supervised-prototype"])
    # A record needs predictions; these are placeholders that no measure below reads.
    placeholder = torch.zeros(len(data.y), int(data.y.max()) + 1)
    record.add(view=0, ids=np.arange(len(data.y)), logits=placeholder, labels=data.labels, features=data.inputs)
    pool.stop_clock()
    yield from _record_scores(pool, record, "inputs")

    def outlier() -> Any:
        from cleanlab.outlier import OutOfDistribution

        return -OutOfDistribution().fit_score(features=data.inputs.numpy(), verbose=False)

    def shapley() -> Any:
        from cleanlab.data_valuation import data_shapley_knn

        return -data_shapley_knn(data.y, features=data.inputs.numpy())

    yield pool.score("cleanlab out-of-distribution (inputs)", "cleanlab", outlier)
    yield pool.score("cleanlab kNN-Shapley (inputs)", "cleanlab", shapley)


def random_control(data: MethodInput) -> Iterator[MethodScore]:
    """Random numbers."""
    rng = np.random.default_rng(data.stream)
    yield _Pool(len(data.y), 0).score("random", "control", lambda: rng.random(len(data.y)))


METHODS: dict[str, Method] = {
    "dynamics": training_dynamics,
    "second split": second_split,
    "trainings": repeated_trainings,
    "ensembles": ensembles,
    "untrained": inputs_only,
    "control": random_control,
}


def load_user_method(name: str) -> Method:
    """Return a method from ``module:function``, a function of ``(x, y, seed)`` that returns one score per sample.

    Higher scores are harder.

    Raises:
        InputError: another form, or there is no such function.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise InputError(f"a measure must be named module:function. Got {name!r}")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        function = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as fault:
        raise InputError(f"measure {name} not found: {first_line(fault)}") from fault
    if not callable(function):
        raise InputError(f"{name} is not a function: a measure is called with (x, y, seed)")

    def method(data: MethodInput) -> Iterator[MethodScore]:
        seed = int(data.stream.generate_state(1)[0])
        yield _Pool(len(data.y), 0).score(name, "yours", lambda: function(data.x.copy(), data.y.copy(), seed))

    return method


def run_method(name: str, method: Method, data: MethodInput) -> list[MethodScore]:
    """Return all scores of a method; if the method itself fails, one score without values."""
    with warnings.catch_warnings():
        # Warnings of measures, repeated in every cell, would hide the progress bar.
        warnings.simplefilter("ignore")
        scores: list[MethodScore] = []
        try:
            scores.extend(method(data))
        except Exception as fault:  # noqa: BLE001 - as for single measures
            scores.append(MethodScore(name, "", 0, 0.0, None, f"{type(fault).__name__}: {first_line(fault)}"))
        return scores
