"""The columns of a result. One table drives its file, its selections and :attr:`hardsight.Difficulty.table`."""

from typing import Literal, NamedTuple

from hardsight.attribution.names import FACTORS


class Column(NamedTuple):
    """One column of a result.

    Attributes:
        name: in files and tables.
        field: of :class:`hardsight.Difficulty`. The four factors are the columns of one field.
        kind: "label" is int64 class codes, or float64 targets in regression; "log-probs" is a list of float64, one per
            class; "count" is int64; "set" is int64, -1 for none; "cause" and "target-error" are text; "id" is int64 or text;
            "name" is the same and may repeat.
        presence: "always"; "ledger": whenever there is a ledger; "classes": whenever there are classes; "optional".
        may_be_nan: whether values may be NaN. A sample with one view has no standard error, and losses alone have neither
            bias and variance nor labels.
    """

    name: str
    field: str
    kind: Literal["id", "name", "label", "float", "count", "set", "cause", "target-error", "log-probs"] = "float"
    presence: Literal["always", "ledger", "classes", "optional"] = "always"
    may_be_nan: bool = False


PARTS = ("error", "error_se", "bias", "variance")
# Counts of models and neighbours that say which class.
COUNTS = ("votes_label", "votes_predicted", "n_neighbours", "neighbours_label", "neighbours_suggested")
# In the order of the file.
COLUMNS = (
    Column("id", "ids", "id"),
    Column("sample", "sample", "name", "optional"),
    Column("part", "part", "name", "optional"),
    Column("sample_error_se", "sample_error_se", presence="optional", may_be_nan=True),
    Column("label", "labels", "label", may_be_nan=True),
    Column("predicted", "predicted", "label", may_be_nan=True),
    Column("error", "error"),
    *(Column(name, name, may_be_nan=True) for name in PARTS[1:]),
    Column("hardness", "hardness", presence="optional"),
    Column("adjusted", "adjusted", presence="optional"),
    Column("suggested", "suggested", "label", "optional"),
    Column("p_suggested", "p_suggested", presence="optional"),
    Column("target_error", "target_error", "target-error", "optional"),
    Column("noise_variance", "noise_variance", presence="optional"),
    Column("p_outlier", "p_outlier", presence="optional"),
    Column("p_strange", "p_strange", presence="optional"),
    Column("views", "n_views", "count"),
    *(Column(name, name, "count", "optional") for name in COUNTS),
    *(Column(name, "ledger", presence="ledger") for name in FACTORS),
    Column("p_wrong", "p_wrong", presence="ledger"),
    Column("cause", "cause", "cause", "ledger"),
    Column("consensus", "consensus", "log-probs", "classes"),
    Column("copy_set", "copy_set", "set", "optional"),
)
FIELDS = tuple(dict.fromkeys(column.field for column in COLUMNS))
# Columns of `Difficulty.table` in their order; "p_label" and "todo" are derived.
TABLE = (
    "sample", "part", "label", "predicted", "p_label", *PARTS, "hardness", "adjusted", *FACTORS, "p_wrong", "suggested",
    "p_suggested", "p_strange", "cause", "todo", "noise_variance", "p_outlier", "residual_quantile", "target_error", "views",
    "copy_set",
)  # fmt: skip
# What a notebook shows of the hardest samples.
DISPLAYED = (
    "label", "predicted", "error", "error_se", "p_outlier", "p_wrong", "suggested", "cause", "todo",
)  # fmt: skip
LOSS_TABLE = ("sample", "part", "error", "error_se", "p_strange", "views", "copy_set")
# Columns of the table of samples without a label: in regression, and with classes.
PREDICTION_COLUMNS = ("predicted", "spread")
CLASS_PREDICTION_COLUMNS = ("predicted", "p_predicted")
