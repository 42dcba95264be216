"""Run cells of the training matrix, on one rank or two, and compare them with the reference."""

import tempfile
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from support.ranks import announce_rank, find_free_port
from torch import distributed

from hardsight.errors import InputError
from hardsight.weights import SCHEMES, Scheme
from training_matrix import loops
from training_matrix.cells import Cell
from training_matrix.loops import SCHEME, TRAIN, make_sampler
from training_matrix.reference import EPOCHS, SAMPLES, START, init_remembered, remembered, train_reference

TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-9}
"""Largest difference of parameters by precision, relative to their largest change in training."""
EQUAL = "equal"


def run_cells(cells: Sequence[Cell], precision: torch.dtype) -> dict[Cell, str]:
    """Return the outcome of each cell: "equal", "refused: …" or "differs: …"."""
    outcomes: dict[Cell, str] = {}
    for ranks in (1, 2):
        chosen = [cell for cell in cells if cell.ranks == ranks]
        if not chosen:
            continue
        with tempfile.TemporaryDirectory() as folder:
            torch.multiprocessing.spawn(_run_rank, (ranks, chosen, precision, folder, find_free_port()), nprocs=ranks)
            results = [torch.load(Path(folder) / f"results-{rank}.pt") for rank in range(ranks)]
        outcomes |= {cell: _judge(cell, precision, list(by_rank)) for cell, *by_rank in zip(chosen, *results, strict=True)}
    return {cell: outcomes[cell] for cell in cells}


def _run_rank(rank: int, ranks: int, cells: Iterable[Cell], precision: torch.dtype, folder: str, port: int) -> None:
    """Run all cells in one of the processes, and save the parameters or the error of each."""
    torch.set_num_threads(1)
    loops.precision = precision
    warnings.simplefilter("ignore")
    SCHEMES[SCHEME] = Scheme(
        name=SCHEME, description=SCHEME, formula="1 / (1 + mean l)", function=remembered, priority="easy", scale="loss",
        source="tests", init=init_remembered, compares_samples=False,
    )  # fmt: skip
    if ranks > 1:
        announce_rank(rank, ranks, port)
        distributed.init_process_group("gloo", rank=rank, world_size=ranks)
    results: list[torch.Tensor | str] = []
    for number, cell in enumerate(cells):
        own = Path(folder) / str(number)
        own.mkdir(exist_ok=True)
        try:
            results.append(TRAIN[cell.loop](cell, own))
        except InputError as error:
            results.append(str(error))
        if ranks > 1:
            if not distributed.is_initialized():
                distributed.init_process_group("gloo", rank=rank, world_size=ranks)
            distributed.barrier()
    torch.save(results, Path(folder) / f"results-{rank}.pt")
    if ranks > 1:
        distributed.destroy_process_group()


def _judge(cell: Cell, precision: torch.dtype, results: list[torch.Tensor | str]) -> str:
    errors = [result for result in results if isinstance(result, str)]
    if errors:
        return f"refused: {errors[0]}" if len(errors) == len(results) else f"differs: only one rank raised {errors[0]}"
    expected = train_reference(cell.weights, _draws(cell))
    worst = max(np.abs(result.numpy().astype(np.float64) - expected).max() for result in results)
    worst /= np.abs(expected - START).max()
    return EQUAL if worst <= TOLERANCES[precision] else f"differs: by {worst:.1e} of the change of the parameters"


def _draws(cell: Cell) -> list[list[int]]:
    if cell.weights != "sampler":
        return [list(range(SAMPLES))] * EPOCHS
    sampler, draws = make_sampler(), []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        draws.append(list(sampler))
    return draws
