"""`hardsight demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hardsight.cli.group import main
from hardsight.cli.measure_and_report import measured_into
from hardsight.cli.options import run_options
from hardsight.cli.output import take_folder


@main.command()
@click.option("--data", default="digits", show_default=True, help="digits, wine or breast-cancer.")
@click.option("--flip", type=float, default=0.1, show_default=True, help="Share of labels to flip to another class.")
@run_options
def demo(data: str, flip: float, out: Path, seed: int, **run: Any) -> None:
    """Run the main job on a real data set, some of whose labels are flipped so that the result can be judged."""
    from hardsight.cli.demo_data import judge, prepare
    from hardsight.data import read

    take_folder(out)
    prepared = prepare(data, flip, seed, out)
    if not run["as_json"]:
        click.echo(f"{prepared.path}: {data}, {len(prepared.flipped)} labels flipped (seed {seed}). Now the same as\n")
        click.echo(f"    hardsight measure {prepared.path} --label y --out {out} --seed {seed}\n")
    result = measured_into(read(prepared.path, label="y"), source=prepared.path, out=out, seed=seed, **run)
    if len(prepared.flipped) and not run["as_json"]:
        found = judge(result, prepared.flipped)
        click.echo(
            f"\nOf the {found['flipped']:.0f} flipped labels, {found['among_hardest']:.1%} are among the "
            f"{found['flipped']:.0f} hardest samples (AUROC {found['auroc']:.4f}, average precision "
            f"{found['average_precision']:.4f})."
        )
        if "found" in found:
            click.echo(
                f"P(label wrong) > 1/2 finds {found['found']:.1%} of them; "
                f"{found['precise']:.1%} of what it flags was flipped."
            )
