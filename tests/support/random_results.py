"""Random results and samples, and strings that try to run in a page, for tests of the report and the review page."""

from dataclasses import replace

import numpy as np
import pandas as pd

from hardsight.data.samples import Samples
from hardsight.difficulty.result import Difficulty
from hardsight.difficulty.run_info import RunInfo

HOSTILE = [
    "</script><script>document.title='pwned'</script>",
    "<img src=x onerror=\"document.title='pwned'\">",
    "{{ 7 * 7 }}{% raw %}",
    "\"' onmouseover=document.title='pwned' x='",
    "nul\0 bell\7 line\nfeed",
    "\u202eright to left\u2028 separator\u2029 العربية",
    "comment <!-- ]]>",
    "datum.x || alert(1)",
    "javascript:document.title='pwned'",
]


def random_result(
    n: int = 200,
    classes: tuple | None = ("ant", "bee", "cat"),
    *,
    factors: bool = False,
    views: int = 5,
    ids: np.ndarray | None = None,
    **settings: object,
) -> Difficulty:
    rng = np.random.default_rng(0)
    ids = np.arange(n) if ids is None else ids
    bias = rng.gamma(0.3, 1.0, n)
    variance = rng.gamma(0.5, 0.1, n)
    common = {
        "error": bias + variance,
        "error_se": rng.gamma(1, 0.01, n) if views > 1 else np.full(n, np.nan),
        "bias": bias if views > 1 else np.full(n, np.nan),
        "variance": variance if views > 1 else np.full(n, np.nan),
        "n_views": np.full(n, views, dtype=np.int64),
        "ids": ids,
    }
    about = {"loss": "log", "learner": "Ridge()", "splits": "5 folds × 5 repeats", "members": 25, "seed": 0, "notices": []}
    about |= {"label_name": "kind"} | settings
    if classes is None:
        target = rng.normal(size=n)
        return Difficulty(
            **common, labels=target, predicted=target + rng.normal(size=n), classes=None, consensus=None, ledger=None,
            p_wrong=None, cause=None, run=RunInfo.from_json(about | {"loss": settings.get("loss", "squared")}),
            noise_variance=np.linspace(0.5, 1.5, n), p_outlier=rng.random(n) ** 9,
        )  # fmt: skip
    labels = rng.integers(0, len(classes), n)
    consensus = np.log(rng.dirichlet(np.ones(len(classes)), n))
    account = rng.dirichlet(np.ones(4), n) * common["error"][:, None]
    account[:, 1] -= 0.1
    account[:, 2] += 0.1
    if not factors:
        return Difficulty(
            **common, labels=labels, predicted=consensus.argmax(1), classes=classes, consensus=consensus,
            run=RunInfo.from_json(about), ledger=None, p_wrong=None, cause=None,
        )  # fmt: skip
    matrix = 0.7 * np.eye(len(classes)) + 0.3 * rng.dirichlet(np.ones(len(classes)), len(classes))
    about |= {"transition": matrix.tolist(), "class_shares": np.full(len(classes), 1 / len(classes)).tolist()}
    return Difficulty(
        **common, labels=labels, predicted=consensus.argmax(1), classes=classes, consensus=consensus,
        run=RunInfo.from_json(about), ledger=account, p_wrong=rng.random(n),
        suggested=rng.integers(0, len(classes), n), p_suggested=rng.random(n),
        cause=rng.choice(["noise", "imbalance", "margin", "uncertainty", "strange", "none"], n),
    )  # fmt: skip


def samples_of(d: Difficulty, kind: str, features: object) -> Samples:
    return Samples(features=features, labels=d.labels, classes=d.classes, ids=d.ids, kind=kind)


def named_result(n: int = 300) -> Difficulty:
    return random_result(n, factors=True, ids=np.array([f"n{i}" for i in range(n)]), source="bees.csv")


def random_table(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"length": rng.normal(size=n), "town": rng.choice(["Ulm", "Bonn"], n)})
    frame.loc[0, "length"] = 99.0
    frame.loc[1, "town"] = "Nowhere"
    frame.loc[2, "length"] = np.nan
    return frame


def posterior_result(n: int = 300, **changes: object) -> tuple[Difficulty, np.ndarray]:
    """A result whose P(label wrong) and suggestions come from one posterior, and that posterior, ``(sample, class)``."""
    d = random_result(n, factors=True)
    posterior = np.random.default_rng(2).dirichlet(np.full(3, 0.5), n)
    p_given = posterior[np.arange(n), d.labels]
    cause = np.where(p_given < 0.5, "noise", "none")
    fields = {"p_wrong": 1 - p_given, "suggested": posterior.argmax(1), "p_suggested": posterior.max(1), "cause": cause}
    return replace(d, **fields | changes), posterior
