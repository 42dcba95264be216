"""Numbers with units, currencies, separators of thousands and decimal commas."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardsight.data.feature_columns.clean import clean_columns

VALUES = np.random.default_rng(0).uniform(1, 100, 40).round(2)


def read(cells):
    table, notes = clean_columns(pd.DataFrame({"x": cells}))
    return table["x"], "; ".join(note.detail for note in notes)


@pytest.mark.parametrize(
    ("spelling", "unit"),
    [
        ("{:.2f}%", "in %"),
        ("{:.2f} %", "in %"),
        ("${:.2f}", "in $"),
        ("-${:.2f}", "in $"),
        ("{:.2f} €", "in €"),
        ("€\u00a0{:.2f}", "in €"),
        ("USD {:.2f}", "in USD"),
        ("{:.2f} kWh", "in kwh"),
        ("{:.2f}km/h", "in km/h"),
        ("{:.2f} m²", "in m²"),
        ("{:.2f} °C", "in °c"),
        ("{:.2f} sq. ft.", "in sq. ft."),
        ("({:.2f})", ""),
        ("\u2212{:.2f}", ""),
        ("{:.2e}", ""),
    ],
)
def test_one_unit_in_every_cell(spelling, unit):
    series, detail = read([spelling.format(value) for value in VALUES])
    sign = -1 if spelling.startswith(("-", "(", "\u2212")) else 1
    expected = [sign * float(f"{value:.2e}") if "e}" in spelling else sign * value for value in VALUES]
    np.testing.assert_allclose(series.to_numpy(), expected, rtol=1e-12)
    assert detail == unit


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1,234", "950", "12,345.5"], [1234, 950, 12345.5]),
        (["$100,000", "$1,500", "$20"], [100000, 1500, 20]),
        (["1.234,5", "950", "12.345,75"], [1234.5, 950, 12345.75]),
        (["1,5", "2,25", "3"], [1.5, 2.25, 3]),
        (["0,125", "1,250", "2,500"], [0.125, 1.25, 2.5]),
        (["1 234", "12 345", "7"], [1234, 12345, 7]),
        (["1'234", "12'345.5", "7"], [1234, 12345.5, 7]),
        (["12,34,567", "1,00,000", "5"], [1234567, 100000, 5]),
        (["1.2k", "3M", "500"], [1200, 3e6, 500]),
        (["$1.5B", "$20k", "$3M"], [1.5e9, 2e4, 3e6]),
        (["10 KB", "2 MB", "1 GB"], [1e4, 2e6, 1e9]),
        (["2 weeks", "1 day", "3 days"], [14, 1, 3]),
        (["1 year", "6 months", "2 years"], [365.25, 182.625, 730.5]),
        (["120 cm", "1.5 m", "2 m"], [1.2, 1.5, 2]),
        (["5 kg", "300 g", "n/a"], [5, 0.3, np.nan]),
        (["12%", "", "5%"], [12, np.nan, 5]),
    ],
)
def test_separators_and_units_that_are_converted(cells, expected):
    np.testing.assert_allclose(read(cells * 10)[0].to_numpy(dtype=float)[:3], expected)


@pytest.mark.parametrize(
    "cells",
    [
        ["5 kg", "3 litres", "2 kg"],
        ["$5", "€7", "$9"],
        ["12%", "0.5", "7%"],
        ["1st", "2nd", "3rd"],
        ["A12", "A15", "A17"],
        ["12A", "15B", "17C"],
        ["10-20", "20-30", "30-40"],
        ["1.2.3", "1.2.4", "2.0.0"],
        ["192.168.0.1", "10.0.0.7", "10.0.0.8"],
        ["007", "010", "100"],
        ["5XL", "2XL", "S"],
    ],
)
def test_what_is_no_number_stays_a_category(cells):
    assert read(cells * 10)[0].dtype == "category"


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.decimals(-10_000_000, 10_000_000, places=2), min_size=5, max_size=30, unique=True),
    st.sampled_from(["{:,.2f}", "${:,.2f}", "{:,.2f} kg", "{:.2f}%", "EUR {:,.2f}"]),
)
def test_any_amounts_come_back(amounts, spelling):
    np.testing.assert_allclose(
        read([spelling.format(amount) for amount in amounts])[0].to_numpy(), np.array(amounts, dtype=float), rtol=1e-12
    )
