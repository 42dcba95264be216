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
@click.option(
    "--runs", type=click.IntRange(min=1), default=5, show_default=True, help="Number of runs; medians are reported."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the tables.")
def speed(cases: tuple[str, ...], runs: int, as_json: bool) -> None:
    """Time ensembles against loops that train one network after another, and measure how the time grows.

    Takes some minutes; nothing else should run on the machine. The number of threads is torch's (OMP_NUM_THREADS).
    """
    from dataclasses import asdict

    from hardsight_bench import speed as study
    from hardsight_bench import tables

    known = (*study.CASES, "growth")
    unknown = [name for name in cases if name not in known]
    if unknown:
        raise click.UsageError(f"unknown case {unknown[0]!r}: choose from {', '.join(known)}")
    peak = study.measure_peak()
    result: dict[str, Any] = {"machine": tables.describe_machine(), "peak_gflops": peak, "runs": runs}
    if not as_json:
        click.echo(f"# Speed\n\n`hardsight bench speed`: {(study.__doc__ or '').strip()}\n")
        click.echo(f"Medians of {runs}; {tables.describe_machine()} A large matrix product: {peak:,.0f} GFLOP/s.")
    for name in cases or known:
        if name == "growth":
            growths = list(study.measure_growth(runs))
            result[name] = [each._asdict() for each in growths]
            text = tables.growth_section(growths)
        else:
            case = study.CASES[name]()
            rows = study.time_case(case, runs)
            result[name] = [asdict(row) for row in rows]
            text = tables.speed_section(case, rows, peak)
        if not as_json:
            click.echo(f"\n{text}")
    if as_json:
        print_json(result)
