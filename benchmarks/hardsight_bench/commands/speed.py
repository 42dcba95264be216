"""`hardsight bench speed`."""

from __future__ import annotations

from typing import Any

import click

from hardsight.cli.output import print_json
from hardsight_bench.commands.group import bench


@bench.command()
@click.option("--case", "cases", multiple=True, metavar="NAME",
              help="perceptrons, convolutions-8, convolutions-28, logistic or growth; may be repeated. "
                   "[default: all]")  # fmt: skip
@click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True, help="Medians of so many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object in place of the tables.")
def speed(cases: tuple[str, ...], runs: int, as_json: bool) -> None:
    """How long ensembles take beside loops that train one network after another, and how the time grows.

    Takes some minutes; nothing else should run on the machine. The number of threads is torch's (OMP_NUM_THREADS).
    """
    from dataclasses import asdict

    from hardsight_bench import speed as study
    from hardsight_bench import tables as words

    known = (*study.CASES, "growth")
    strange = [name for name in cases if name not in known]
    if strange:
        raise click.UsageError(f"no case is called {strange[0]!r}: choose among {', '.join(known)}")
    top = study.measure_peak()
    told: dict[str, Any] = {"machine": words.describe_machine(), "peak_gflops": top, "runs": runs}
    if not as_json:
        click.echo(f"# Speed\n\n`hardsight bench speed`: {(study.__doc__ or '').strip()}\n")
        click.echo(f"Medians of {runs}; {words.describe_machine()} A large matrix product: {top:,.0f} GFLOP/s.")
    for name in cases or known:
        if name == "growth":
            grown = list(study.measure_growth(runs))
            told[name] = [each._asdict() for each in grown]
            text = words.growth_section(grown)
        else:
            case = study.CASES[name]()
            rows = study.time_case(case, runs)
            told[name] = [asdict(row) for row in rows]
            text = words.speed_section(case, rows, top)
        if not as_json:
            click.echo(f"\n{text}")
    if as_json:
        print_json(told)
