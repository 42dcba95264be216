"""What decisions about labels are expected to do, by P(label wrong) and P(suggested): before they are made."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from hardsight.attribution.names import TOO_FEW
from hardsight.difficulty.decisions import DROP, RELABEL, Decisions
from hardsight.difficulty.samples_of_parts import group_by_class
from hardsight.errors import InputError

if TYPE_CHECKING:
    from hardsight.difficulty.result import Difficulty


class Forecast(NamedTuple):
    """Expected numbers of right and wrong labels after decisions, as if nobody looked at the samples.

    Attributes:
        table: one row per given class, or per label where samples have several, with columns

            - ``samples``: number of samples with this label, and ``wrong``, how many of these labels are wrong now,
            - ``relabelled``: number of labels changed. Of these, ``put_right`` were wrong and become right, ``spoilt`` were
              right and become wrong, ``still_wrong`` were wrong and stay so, and ``unknown`` get a label whose probability
              the result does not hold: neither the given nor the suggested one,
            - ``dropped``: number of samples dropped, and ``dropped_right``, how many of them have the right label,
            - ``wrong_after``: how many labels are wrong afterwards among the samples that stay, ``unknown`` ones left out.

            Numbers of samples are integers, all others are expected values.
        trust: in the ledger, 0 to 1; see :attr:`hardsight.Difficulty.ledger_trust`.
        too_few: number of labels changed in classes too small to tell whether a label is right.
        changes: one row per pair of a given and a new label, by ``given`` and ``new`` (None for samples dropped), the most
            frequent first, with the columns ``samples``, ``put_right``, ``spoilt``, ``still_wrong``, ``unknown`` and
            ``dropped_right`` of the table.
    """

    table: pd.DataFrame
    trust: float
    too_few: int
    changes: pd.DataFrame

    @property
    def total(self) -> pd.Series:
        """The sums over all classes."""
        return self.table.sum()

    def describe(self) -> str:
        """Return the forecast in a few sentences; empty if no label changes and no sample is dropped."""
        total = self.total
        sentences = []
        if total["relabelled"]:
            sentences.append(_describe_relabelled(total))
        if total["dropped"]:
            wrong, right = total["dropped"] - total["dropped_right"], total["dropped_right"]
            sentences.append(
                f"Of {_count(total['dropped'], 'sample')} dropped, expect {wrong:,.0f} with a wrong label and "
                f"{right:,.0f} with a right one."
            )
        if not sentences:
            return ""
        unknown = ", without those of unknown probability" if total["unknown"] else ""
        sentences.append(
            f"Wrong labels in all: about {total['wrong']:,.0f} before, {total['wrong_after']:,.0f} after{unknown}."
        )
        if total["spoilt"] > total["put_right"]:
            sentences.append("This spoils more labels than it puts right.")
        if self.too_few:
            sentences.append(f"Of the labels changed, {self.too_few:,} are in classes too small to tell.")
        if self.trust < 1:
            sentences.append(f"Trust in the ledger is {self.trust:.0%}: more may be spoilt.")
        return " ".join(sentences)


def forecast_decisions(d: "Difficulty", decisions: Decisions) -> Forecast:
    """Forecast what decisions do; see :meth:`hardsight.Difficulty.forecast`.

    A label that changes from :math:`y` to the suggested :math:`s` is right with probability :math:`P(s)` afterwards, and was
    right with :math:`P(y)`. So it is put right with :math:`P(s)`, spoilt with :math:`P(y)`, and stays wrong with
    :math:`1 - P(s) - P(y)`.

    Raises:
        InputError: the result has no P(label wrong).
    """
    if d.p_wrong is None or d.suggested is None or d.p_suggested is None or d.classes is None:
        raise InputError(
            "a forecast needs P(label wrong), and this result has none: measure with classes, log-loss and two views per "
            "sample or more"
        )
    changed = (decisions.actions == RELABEL) & (decisions.labels != d.labels[decisions.rows])
    relabelled, new = decisions.rows[changed], decisions.labels[changed]
    dropped = decisions.rows[decisions.actions == DROP]
    known = new == d.suggested[relabelled]
    rows = relabelled[known]
    put_right, spoilt = d.p_suggested[rows], 1 - d.p_wrong[rows]
    stay = np.ones(len(d), dtype=bool)
    stay[relabelled] = stay[dropped] = False

    groups = group_by_class(d)

    def by_class(positions: np.ndarray, values: np.ndarray | None = None) -> np.ndarray:
        sums: np.ndarray = np.bincount(groups.codes[positions], values, len(groups.names))
        return sums

    everything = np.arange(len(d))
    # Rounding may leave the two probabilities with a sum just above 1.
    still_wrong = np.maximum(1 - put_right - spoilt, 0)
    columns = {
        "samples": by_class(everything),
        "wrong": by_class(everything, d.p_wrong),
        "relabelled": by_class(relabelled),
        "put_right": by_class(rows, put_right),
        "spoilt": by_class(rows, spoilt),
        "still_wrong": by_class(rows, still_wrong),
        "unknown": by_class(relabelled[~known]),
        "dropped": by_class(dropped),
        "dropped_right": by_class(dropped, 1 - d.p_wrong[dropped]),
        "wrong_after": by_class(everything[stay], d.p_wrong[stay]) + by_class(rows, spoilt + still_wrong),
    }
    index = pd.Index(groups.names, dtype=object, name=groups.noun)
    too_few = 0 if d.cause is None else int((d.cause[relabelled] == TOO_FEW).sum())
    new_codes = d.labels.copy()
    new_codes[dropped], new_codes[relabelled] = -1, new
    changes = _sum_changes(d, new_codes, np.concatenate([relabelled, dropped]))
    return Forecast(pd.DataFrame(columns, index=index), d.ledger_trust, too_few, changes)


def _sum_changes(d: "Difficulty", new: np.ndarray, rows: np.ndarray) -> pd.DataFrame:
    """Return the table of changes by given and new label.

    Args:
        new: class code afterwards, -1 for dropped samples, ``(sample,)``.
        rows: of the samples that change.
    """
    assert d.p_wrong is not None
    assert d.suggested is not None
    assert d.p_suggested is not None
    dropped, is_suggested = new[rows] < 0, new[rows] == d.suggested[rows]
    right, put_right = 1 - d.p_wrong[rows], d.p_suggested[rows]
    values = {
        "samples": np.ones(len(rows), dtype=np.int64),
        "put_right": np.where(is_suggested, put_right, 0),
        "spoilt": np.where(is_suggested, right, 0),
        "still_wrong": np.where(is_suggested, np.maximum(1 - put_right - right, 0), 0),
        "unknown": (~dropped & ~is_suggested).astype(np.int64),
        "dropped_right": np.where(dropped, right, 0),
    }
    frame = pd.DataFrame({"given": d.labels[rows], "new": new[rows], **values})
    sums = frame.groupby(["given", "new"], sort=False).sum().sort_values("samples", ascending=False, kind="stable")
    # As objects: pandas' own string type refuses what is not valid Unicode.
    names = np.array([*(d.classes or ()), None], dtype=object)
    levels = [pd.Index(names[sums.index.get_level_values(level)], dtype=object, name=level) for level in ("given", "new")]
    return sums.set_index(pd.MultiIndex.from_arrays(levels))


def _describe_relabelled(total: pd.Series) -> str:
    unknown = f"; {total['unknown']:,.0f} get a label of unknown probability" if total["unknown"] else ""
    return (
        f"Of {_count(total['relabelled'], 'label')} changed, expect {total['put_right']:,.0f} put right, "
        f"{total['spoilt']:,.0f} spoilt (right before the change) and {total['still_wrong']:,.0f} still wrong{unknown}."
    )


def _count(number: float, noun: str) -> str:
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"
