"""Sets of copies in a result, as a table."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from hardsight.difficulty.result import Difficulty


def list_copies(d: "Difficulty") -> pd.DataFrame:
    """Return the sets of copies in a result; see :meth:`hardsight.Difficulty.copies`."""
    codes = np.full(len(d), -1) if d.copy_set is None else d.copy_set
    order = np.argsort(codes, kind="stable")
    order = order[codes[order] >= 0]
    names, start = np.unique(codes[order], return_index=True)
    rows = [(name, members) for name, members in zip(names, np.split(order, start[1:]), strict=False) if len(members) > 1]
    labels = [d.label_names(d.labels[members]).tolist() for _, members in rows]
    table = pd.DataFrame(
        {
            "size": [len(members) for _, members in rows],
            "contradictory": [len(np.unique(d.labels[members])) > 1 for _, members in rows],
            "ids": [d.ids[members].tolist() for _, members in rows],
            "labels": labels,
        },
        index=pd.Index([name for name, _ in rows], name="set", dtype=np.int64),
    ).astype({"size": np.int64, "contradictory": bool})
    return table.sort_values(["contradictory", "size"], ascending=False, kind="stable")
