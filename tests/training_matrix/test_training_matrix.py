"""Cells of the training matrix in which every pair of settings occurs; ``make matrix`` trains all."""

from itertools import combinations, product

import pytest
import torch

from training_matrix.cells import ACCUMULATION, CELLS, LOOPS, RANKS, RESTARTS, WEIGHTS, pairwise
from training_matrix.outcomes import EQUAL, run_cells
from training_matrix.table import format_outcome, read_page


def test_every_pair_of_settings_occurs():
    levels = (LOOPS, RANKS, ACCUMULATION, WEIGHTS, RESTARTS)
    cells = pairwise()
    for first, second in combinations(range(len(levels)), 2):
        assert {(cell[first], cell[second]) for cell in cells} == set(product(levels[first], levels[second]))


@pytest.mark.slow
def test_cells_equal_the_reference_or_are_refused_as_the_page_says():
    page = read_page()
    assert page.keys() == set(CELLS)
    assert set(page.values()) == {EQUAL, "refused"}
    outcomes = run_cells(pairwise(), torch.float64)
    assert {cell: page[cell] for cell in outcomes} == {
        cell: EQUAL if outcome == EQUAL else format_outcome(outcome) for cell, outcome in outcomes.items()
    }
