"""Why a sample is hard, in one sentence per sample."""

import numpy as np

from hardsight.data.samples import Samples
from hardsight.difficulty.result import Difficulty
from hardsight.reporting.reasons.details import Details
from hardsight.reporting.reasons.sentences import Sentences


def write_reasons(d: Difficulty, rows: np.ndarray, samples: Samples | None = None) -> list[str]:
    """Return one sentence for each of some samples; see :meth:`hardsight.Difficulty.reasons`.

    Args:
        rows: their positions in the result, ``(row,)`` int64.
        samples: the measured samples in the order of the result; None: sentences tell what the result alone knows.
    """
    sentences, details = Sentences(d), {} if samples is None else Details(d, samples).describe(rows)
    return [sentences.write(row, details.get(row, "")) for row in rows.tolist()]
