"""A folder of many photographs by the command line: CPU seconds of every stage, peak memory, and what was found.

    python benchmarks/draw_photographs.py IMAGES FOLDER
    python benchmarks/photographs.py FOLDER OUT EMBEDDING > benchmarks/photographs.md

Runs `hardsight measure FOLDER --embedding EMBEDDING --out OUT --jobs 1` in this process. Stages are functions of hardsight.
The seconds of a stage that another one calls count for the inner one alone. CPU seconds of one thread, beside other work.
"""

import resource
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import hardsight as hs
from hardsight.cli import main as command_line

STAGES = {
    "read and decode files, make thumbnails": "data.from_folders.read_folder",
    "encode (from the cache, or by the model)": "data.encoder.Encoding.add",
    "search exact copies": "copies.sets.find_exact_copies",
    "search near copies": "copies.sets.add_near_copies",
    "choose the length of training": "estimation.job.tune_training_length",
    "train the ensemble, predict held-out samples": "estimation.runner.Runner.run",
    "search neighbours": "estimation.assemble.find_seeded_neighbours",
    "label model and second round": "estimation.true_labels.infer_true_labels",
    "assemble the ledger": "estimation.assemble.assemble_run",
    "write the result": "difficulty.file.write_result",
    "write the report": "reporting.report.page.write",
    "write the review page": "reporting.review.page.write",
    "map": "reporting.embedding_map.project",
}


class StageTimer:
    """CPU seconds of functions, each without those of the functions that it calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.peaks: dict[str, float] = {}
        self._inner: list[float] = []

    def wrap(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with a clock."""

        def timed(*arguments: Any, **options: Any) -> Any:
            self._inner.append(0.0)
            start = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                cpu = time.process_time() - start
                self.seconds[stage] = self.seconds.get(stage, 0.0) + cpu - self._inner.pop()
                if self._inner:
                    self._inner[-1] += cpu
                self.peaks[stage] = peak_gib()

        return timed

    def install(self) -> None:
        """Replace the functions of the stages wherever they were imported."""
        owners = {stage: _find_owner(path.rpartition(".")[0]) for stage, path in STAGES.items()}
        modules = [module for name, module in sys.modules.items() if name.startswith("hardsight")]
        for stage, path in STAGES.items():
            name = path.rpartition(".")[2]
            function = getattr(owners[stage], name)
            timed = self.wrap(stage, function)
            setattr(owners[stage], name, timed)
            for module in modules:
                if vars(module).get(name) is function:
                    setattr(module, name, timed)


def _find_owner(path: str) -> Any:
    """Return a module of hardsight, or a class in one."""
    module, _, last = path.rpartition(".")
    return getattr(import_module(f"hardsight.{module}"), last) if last[0].isupper() else import_module(f"hardsight.{path}")


def peak_gib() -> float:
    """Return the largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(folder: str, out: str, embedding: str) -> None:
    """Measure and print the page."""
    torch.set_num_threads(1)
    timer = StageTimer()
    timer.install()
    begin, start = time.perf_counter(), time.process_time()
    options = ["--embedding", embedding, "--out", out, "--jobs", "1", "--quiet"]
    with redirect_stdout(sys.stderr):
        command_line(["measure", folder, *options], standalone_mode=False)
    cpu, seconds = time.process_time() - start, time.perf_counter() - begin
    d = hs.Difficulty.load(Path(out) / "difficulty.parquet")
    wrong = np.isin(d.ids, pd.read_csv(Path(folder).with_suffix(".csv"))["id"])
    assert d.p_wrong is not None
    flagged = d.p_wrong > 0.5
    print(f"# {len(d.ids):,} photographs\n\n`{' '.join(['python', *sys.argv])}`: {(__doc__ or '').splitlines()[0]}\n")
    print("| stage | CPU s | peak memory so far, GiB |\n|---|--:|--:|")
    for stage in STAGES:
        if stage in timer.seconds:
            print(f"| {stage} | {timer.seconds[stage]:.0f} | {timer.peaks[stage]:.1f} |")
    print(f"| all | {cpu:.0f} | {peak_gib():.1f} |\n")
    sizes = ", ".join(f"{name} {Path(out, name).stat().st_size / 2**20:.0f} MiB" for name in ("report.html", "review.html"))
    print(f"{seconds:.0f} s passed. Pages: {sizes}.")
    print(f"{d.settings['members']} models; reliability {d.settings['reliability']:.3f}.")
    print(f"{flagged.sum():,} of {len(wrong):,} labels are flagged; {wrong.sum():,} are wrong: ", end="")
    print(f"precision {wrong[flagged].mean():.3f}, recall {flagged[wrong].mean():.3f}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
