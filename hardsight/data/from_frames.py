"""Conversion of frames and Series: which column is the label, the id, the group, the weight, the text or a feature."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from hardsight.data.columns import Arguments, RawSamples, check_column_name
from hardsight.data.feature_columns.vectors import is_nested
from hardsight.data.frames import columns_from_index, unique_names
from hardsight.data.from_arrays import check_numbers
from hardsight.data.from_datasets import stack_elements
from hardsight.errors import InputError
from hardsight.validation import join_names


@dataclass
class ColumnRoles:
    """What the columns of a frame are for."""

    features: pd.DataFrame  # columns without another role
    # The column of each role that a column was named for: label, ids, groups, weights, text.
    columns: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)  # what was passed for each role, or the values of its column
    label_name: str | None = None  # name of the label's column or Series, if any
    notices: list[str] = field(default_factory=list)  # what a user should know of the choice

    @classmethod
    def resolve(cls, frame: pd.DataFrame, args: Arguments) -> "ColumnRoles":
        """Assign a role to every column of a frame with unique text names.

        Raises:
            InputError: no label, or a column that is not there or has two roles.
        """
        roles = cls(frame)
        y = args.label if args.y is None else args.y
        # Column names of a frame may be numbers.
        y = str(y) if isinstance(y, int | float) else y
        passed = {"label": y, "ids": args.ids, "groups": args.groups, "weights": args.weights, "text": args.text}
        for role, value in passed.items():
            roles.values[role] = roles._take(frame, value, role) if isinstance(value, str) else value
        if y is None:
            raise InputError(
                f"the label is missing: name its column (y, label, --label). The columns are {join_names(frame)}"
            )
        if "label" not in roles.columns:
            roles.values["label"] = y
        if args.ids is None:
            roles.values["ids"] = ids_from_index(frame.index, roles.notices)
        named = y.name if isinstance(y, pd.Series) else None
        roles.label_name = roles.columns.get("label", None if named is None else str(named))
        roles.features = frame.drop(columns=list(roles.columns.values()))
        return roles

    def _take(self, frame: pd.DataFrame, column: str, role: str) -> pd.Series:
        """Return the column of a role, which no other role may share."""
        check_column_name(frame, column, role)
        for other, taken in self.columns.items():
            if taken == column:
                raise InputError(f"column {column!r} cannot be both {other} and {role}: name another column")
        self.columns[role] = column
        values: pd.Series = frame[column]
        return values


def convert_frame(args: Arguments, *, image_column: str | None = None, single_text: bool = False) -> RawSamples:
    """Convert a frame.

    Args:
        args: the frame, and what its columns are for.
        image_column: the column of Pillow images, if any.
        single_text: whether a single column of strings is read as text even if it looks like categories.

    Raises:
        InputError: columns that are not there or cannot be used.
    """
    if isinstance(args.y, tuple) and isinstance(args.X.columns, pd.MultiIndex) and args.y in args.X.columns.tolist():
        args = args._replace(y=str(args.y))
    frame = columns_from_index(args.X, (args.y, args.label, args.ids, args.groups, args.weights, args.text))
    roles = ColumnRoles.resolve(unique_names(frame), args)
    values = roles.values
    raw = RawSamples(
        roles.features,
        "table",
        values["label"],
        values["ids"],
        values["groups"],
        values["weights"],
        roles.label_name,
        names={role: f"{role} (column {column!r})" for role, column in roles.columns.items()},
        notices=roles.notices,
    )
    _use_one_column(raw, roles, image_column, single_text)
    return raw


def _use_one_column(raw: RawSamples, roles: ColumnRoles, image_column: str | None, single_text: bool) -> None:
    """Turn a table into texts or images if one of its columns holds these; the other columns are left out."""
    table, text = roles.features, roles.columns.get("text")
    if text is not None:
        column, raw.kind = text, "text"
        raw.features = roles.values["text"].to_numpy(dtype=object)
    elif image_column is not None and image_column in table:
        column, raw.kind = image_column, "image"
        raw.features, notices = stack_elements(table[column].tolist()) if len(table) else (table, [])
        raw.notices.extend(notices)
    elif _is_single_vector(table):
        column = str(table.columns[0])
        stacked, notices = stack_elements([_plain_lists(value) for value in table[column]])
        raw.features, raw.kind = check_numbers(stacked, channels_first=False, notices=raw.notices)
        raw.notices.extend(notices)
    elif single_text and len(table.columns) == 1 and len(table) and _all_strings(table.iloc[:, 0]):
        column, raw.kind = str(table.columns[0]), "text"
        raw.features = table[column].to_numpy(dtype=object)
        raw.notices.append(f"Read as text: {column!r}.")
    else:
        return
    raw.names["text"] = f"column {column!r}"
    others = [name for name in table if name != column]
    if others:
        raw.notices.append(f"Only column {column!r} is used as a feature; left out: {join_names(others)}.")


def _is_single_vector(table: pd.DataFrame) -> bool:
    """Return whether the only column holds a vector or an array of numbers in every row, all as long as the first."""
    if len(table.columns) != 1 or not len(table):
        return False
    values = table.iloc[:, 0].tolist()
    vectors = all(is_nested(value) and not any(isinstance(part, str) for part in value) for value in values)
    return vectors and len({len(value) for value in values}) == 1


def _plain_lists(value: Any) -> Any:
    """Return arrays of arrays, which parquet has, as lists of lists; anything else unchanged."""
    return value.tolist() if isinstance(value, np.ndarray) and value.dtype == object else value


def _all_strings(values: pd.Series) -> bool:
    """Return whether a column holds strings and nothing else; some may be missing."""
    present = values.dropna()
    return bool(len(present)) and all(isinstance(value, str) for value in present)


def convert_series(args: Arguments) -> RawSamples:
    """Convert a Series: texts, or a table of one column."""
    X, y = args.X, args.y
    label_name = str(y.name) if isinstance(y, pd.Series) and y.name is not None else None
    raw = RawSamples(None, "text", y, args.ids, args.groups, args.weights, label_name)
    if args.ids is None:
        raw.ids = ids_from_index(X.index, raw.notices)
    if not isinstance(X.dtype, pd.CategoricalDtype) and _all_strings(X):
        raw.features = X.to_numpy(dtype=object)
    else:
        raw.features, raw.kind = unique_names(X.to_frame("value" if X.name is None else X.name)), "table"
    return raw


def ids_from_index(index: pd.Index, notices: list[str]) -> np.ndarray | None:
    """Return a frame's index as ids, or None with a notice if it cannot name samples."""
    reason = None
    if isinstance(index, pd.MultiIndex):
        reason = f"has {index.nlevels} levels"
    elif index.hasnans:
        reason = "has missing values"
    elif index.inferred_type not in ("integer", "string"):
        reason = f"holds values of type {index.inferred_type}"
    if reason is not None:
        notices.append(
            f"The index {reason} and cannot name samples: ids are 0, 1, 2, …. To use it as ids, pass ids=X.index.map(str), "
            "or make it a column and name that as the id."
        )
        return None
    if not index.is_unique:
        notices.append("The index repeats values and cannot name samples: ids are 0, 1, 2, ….")
        return None
    return index.to_numpy()
