"""Margins that are Gaussian over training sets: the effect of their mean and variance on the error."""

import numpy as np
import torch
from scipy.special import ndtr

from hardsight.measures.losses import loss_of
from hardsight.theory.claim import Figure, Finding, Series, Trial, exact_claim
from hardsight.theory.claims.ensembles import max_gap
from hardsight.theory.scenarios import normal_quantiles

_PROPOSITION_4 = "Proposition 4, after Zhou et al. 2022, as reconstructed"
_MU = np.linspace(-2, 3, 11)
_SD = np.array([0.25, 0.5, 1.0, 1.5, 2.0])


def _errors(loss: str, mu: np.ndarray, sd: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return the mean loss of samples with margin mu + sd g over members, ``(mu, sd)``; by the library's own losses."""
    margins = torch.from_numpy(mu[:, None, None] + sd[None, :, None] * grid).reshape(-1)
    # The first of two classes is the label; the margin is the difference of the logits.
    logits = torch.stack([margins, torch.zeros_like(margins)], 1).log_softmax(1)
    losses = loss_of(loss, logits, torch.zeros(len(margins), dtype=torch.int64), 2)
    errors: np.ndarray = losses.reshape(len(mu), len(sd), len(grid)).mean(2).numpy()
    return errors


@exact_claim(
    "gaussian-margin",
    statement="If the margin over training sets is Gaussian with mean mu and variance s², the exponential error is "
    "exp(-mu + s²/2).",
    source=_PROPOSITION_4,
    expected="largest relative gap 1e-10 or less (quadrature with 60 nodes); random margins within 5 standard errors",
    limits="Exact for Gaussian margins and exponential loss. In general it is the cumulant generating function of -margin.",
    runs=1,
)
def gaussian_margin(trial: Trial) -> Finding:
    """Quadrature and draws against the formula."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    formula = np.exp(-_MU[:, None] + _SD**2 / 2)
    quadrature = np.exp(-(_MU[:, None, None] + _SD[:, None] * nodes)) @ weights / weights.sum()
    gap = max_gap(np.abs(quadrature / formula - 1).ravel())
    sd = np.array([0.25, 0.5, 1.0])
    drawn = np.exp(-(_MU[:, None, None] + sd[:, None] * trial.rng.normal(size=20_000)))
    z = (drawn.mean(2) - np.exp(-_MU[:, None] + sd**2 / 2)) / (drawn.std(2) / np.sqrt(drawn.shape[2]))
    figure = Figure(
        "mean margin",
        "exponential error",
        tuple(
            series
            for k, s in enumerate(sd)
            for series in (
                Series(f"formula, s = {s:g}", _MU.tolist(), np.exp(-_MU + s**2 / 2).tolist()),
                Series(f"20,000 draws, s = {s:g}", _MU.tolist(), drawn.mean(2)[:, k].tolist(), "point"),
            )
        ),
        log="y",
        note="Draws lie on the formula: a larger mean margin is easier, a larger variance harder.",
    )
    measured = {"largest relative gap": gap, "largest distance of draws, in standard errors": max_gap(np.abs(z).ravel())}
    return Finding(bool(gap <= 1e-10 and np.abs(z).max() <= 5), measured, figure)


@exact_claim(
    "logistic-margin",
    statement="Log-loss error falls with the mean margin and rises with its variance, on both sides of the boundary.",
    source=f"{_PROPOSITION_4}; for log-loss by convexity, derived here",
    expected="every step up in the mean lowers the error, every step up in the variance raises it",
    limits="No closed form. Checked on a grid of means from -2 to 3 and deviations from 0.25 to 2.",
    runs=1,
)
def logistic_margin(trial: Trial) -> Finding:
    """The library's log-loss on a fine grid of quantiles."""
    errors = _errors("log", _MU, _SD, normal_quantiles(4001))
    along, across = np.diff(errors, axis=0), np.diff(errors, axis=1)
    figure = Figure(
        "standard deviation of the margin",
        "error (nats)",
        tuple(Series(f"mean margin {_MU[k]:g}", _SD.tolist(), errors[k].tolist()) for k in (2, 4, 6, 8)),
        note="All lines rise: variance always costs under log-loss.",
    )
    measured = {"largest change with the mean": along.max(), "smallest change with the variance": across.min()}
    return Finding(bool(along.max() < 0 < across.min()), measured, figure)


@exact_claim(
    "zero-one-margin-reverses",
    statement="Under 0-1 loss the effect of margin variance is reversed across the boundary: it raises the error of "
    "samples on the right side of the boundary, and lowers that of samples on the wrong side.",
    source="derived here; Proposition 4 of Zhou et al. 2022, as reconstructed, does not carry over to 0-1 loss",
    expected="error = Phi(-mu/s) within 1e-3 of a grid of 4,001 quantiles; the naive reading, that variance always "
    "costs, fails for every sample with a negative mean margin",
    limits="At a mean margin of zero the variance changes nothing.",
    runs=1,
)
def zero_one_margin_reverses(trial: Trial) -> Finding:
    """The library's 0-1 loss on a fine grid of quantiles, and the closed form."""
    mu = np.array([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0])
    errors = _errors("zero-one", mu, _SD, normal_quantiles(4001))
    gap = max_gap(np.abs(errors - ndtr(-mu[:, None] / _SD)).ravel())
    slope = np.diff(errors, axis=1)
    falls, rises = float(slope[mu < 0].max()), float(slope[mu > 0].min())
    # Far from the boundary a change may be too small for the grid to resolve.
    holds = gap <= 1e-3 and falls <= 0 <= rises and bool((slope[mu < 0, -1] < 0).all() and (slope[mu > 0, -1] > 0).all())
    figure = Figure(
        "standard deviation of the margin",
        "0-1 error",
        tuple(Series(f"mean margin {m:g}", _SD.tolist(), row.tolist()) for m, row in zip(mu, errors, strict=True)),
        rule=0.5,
        note="Above one half the lines fall: where models are wrong on average, variance helps.",
    )
    measured = {
        "largest gap to Phi(-mu/s)": gap,
        "largest change where mu < 0": falls,
        "smallest change where mu > 0": rises,
    }
    return Finding(bool(holds), measured, figure)


@exact_claim(
    "boundary-is-not-all",
    statement="A sample close to the boundary may be easier than one farther away, because the variance of the margin "
    "matters, too.",
    source=_PROPOSITION_4,
    expected="a pair with the larger mean margin and the larger error, by log-loss and by the exponential formula",
    limits="Shown by one example; how often it happens depends on the data.",
    runs=1,
)
def boundary_is_not_all(trial: Trial) -> Finding:
    """A near sample of low variance against a far one of high variance."""
    mu, sd = np.array([0.5, 1.0]), np.array([0.1, 2.5])
    errors = _errors("log", mu, sd, normal_quantiles(4001))
    near, far = float(errors[0, 0]), float(errors[1, 1])
    exponential = np.exp(-mu + sd**2 / 2)
    grid = np.linspace(0.1, 3, 30)
    curves = _errors("log", mu, grid, normal_quantiles(2001))
    figure = Figure(
        "standard deviation of the margin",
        "error (nats)",
        tuple(Series(f"mean margin {m:g}", grid.tolist(), row.tolist()) for m, row in zip(mu, curves, strict=True)),
        rule=near,
        note="The farther sample (mean 1) is harder than the near, stable one (dashed) once its margin varies enough.",
    )
    measured = {"error, far and unsure": far, "error, near and sure": near}
    return Finding(bool(far > near and exponential[1] > exponential[0]), measured, figure)
