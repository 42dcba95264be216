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
        ["A12", "A15", "A17"],
        ["12A", "15B", "17C"],
        ["10-20", "20-30", "30-40"],
        ["1.2.3", "1.2.4", "2.0.0"],
        ["192.168.0.1", "10.0.0.7", "10.0.0.8"],
        ["007", "010", "100"],
        ["5XL", "2XL", "S"],
    ],
)
def test_what_is_not_a_number_stays_a_category(cells):
    assert read(cells * 10)[0].dtype == "category"


@pytest.mark.parametrize(
    ("cells", "numbers", "words"),
    [
        # An exponent beside thousands is not a number; with a decimal comma it is.
        (["4,910E-01", "9,395E-03", "1,465E+02"], [0.491, 0.009395, 146.5], "decimal comma"),
        (["82,242", "-2,254", "196,658"], [82242, -2254, 196658], "thousands separated by commas"),
        (["1.234 €", "965 €", "2.500 €"], [1.234, 965, 2.5], "decimal point"),
        (["1.234,50-", "17,00", "250,25-"], [-1234.5, 17, -250.25], "decimal comma"),
        (["278’747.88", "1’301.50", "12.5"], [278747.88, 1301.5, 12.5], ""),
        (["$(52,579.12)", "$1.50", "$(3)"], [-52579.12, 1.5, -3], "in $"),
        (["1st", "2nd", "3rd", "11th"], [1, 2, 3, 11], ""),
        (["$18.6 million", "$2 billion", "$7.5 million"], [18.6e6, 2e9, 7.5e6], "converted to ones"),
        ([*map(str, range(30)), "\\N", "0000-00-00"], [*range(30), np.nan, np.nan], "missing in 2 rows"),
        (
            [f"{i}.5" for i in range(30)] + ["<0.5", "> 40", "35+"],
            [i + 0.5 for i in range(30)] + [0.5, 40, 35],
            "'<0.5' as 0.5",
        ),
        ([f"0.{i}" for i in range(10, 40)] + ["7%", "50%"], [i / 100 for i in range(10, 40)] + [0.07, 0.5], "as fractions"),
        ([f"{i}.5" for i in range(30)] + ["7%", "50%"], [i + 0.5 for i in range(30)] + [7, 50], "in %"),
    ],
)
def test_numbers_as_reports_write_them(cells, numbers, words):
    column, detail = read(cells)
    np.testing.assert_allclose(column.to_numpy(dtype=float), numbers, rtol=1e-12)
    assert words in detail


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
