"""`hardsight demo`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardsight.cli.group import main
from hardsight.cli.measure_and_report import measure_and_report
from hardsight.cli.options import run_options
from hardsight.cli.output import lock_folder

if TYPE_CHECKING:
    from hardsight.difficulty.result import Difficulty

_YOUR_DATA = (
    ("hardsight measure YOUR.csv --label COLUMN", "your own table"),
    ("hardsight measure YOUR_PHOTOS", "your own photos, one folder per class"),
)


@main.command(short_help="Measure real data with known wrong labels.")
@click.option("--data", default="digits", show_default=True, help="Data set: digits, wine or breast-cancer.")
@click.option("--flip", type=float, default=0.1, show_default=True, help="Share of labels to flip to another class.")
@run_options
def demo(data: str, flip: float, out: Path, seed: int, **run: Any) -> None:
    """Measure a real data set, with some labels flipped so that the result can be checked."""
    from hardsight.cli.demo_data import score_demo, write_demo_data
    from hardsight.data import read

    lock_folder(out)
    demo_data = write_demo_data(data, flip, seed, out)
    if not run["as_json"]:
        click.echo(f"{demo_data.path}: {data}, {len(demo_data.flipped)} labels flipped (seed {seed}). Now the same as\n")
        click.echo(f"    hardsight measure {demo_data.path} --label y --out {out} --seed {seed}\n")

    def describe_scores(result: "Difficulty") -> str:
        scores = score_demo(result, demo_data.flipped)
        count = f"{scores['flipped']:.0f}"
        text = (
            f"Of the {count} flipped labels, {scores['among_hardest']:.1%} are among the {count} hardest samples (AUROC "
            f"{scores['auroc']:.4f}, average precision {scores['average_precision']:.4f})."
        )
        if "recall" in scores:
            text += (
                f" P(label wrong) > 1/2 finds {scores['recall']:.1%} of them; {scores['precision']:.1%} of what it flags "
                "was flipped."
            )
        return text

    note = describe_scores if len(demo_data.flipped) else None
    samples = read(demo_data.path, label="y")
    measure_and_report(
        samples,
        source=demo_data.path,
        out=out,
        seed=seed,
        roles=("--label", "y"),
        note=note,
        more_commands=_YOUR_DATA,
        **run,
    )
