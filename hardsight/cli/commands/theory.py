"""`hardsight theory`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardsight.cli.group import main
from hardsight.cli.output import count_progress, lock_folder, make_folder, print_json
from hardsight.cli.sections import Choice

if TYPE_CHECKING:
    from hardsight.theory.claim import Claim
    from hardsight.theory.image_study import ImageStudy


@main.command(short_help="Test the claims of the theory by numbers.")
@click.option("--full", is_flag=True, help="Many seeds, and the claims that need them: about 20 minutes instead of one.")
@click.option("--replicate", is_flag=True, help="Only claims that repeat published experiments, with many seeds.")
@click.option("--only", multiple=True, metavar="NAME", help="A claim to test; may be repeated. [default: all of the set]")
@click.option("--list", "listed", is_flag=True, help="List the claims without testing them.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-theory"), show_default=True,
              help="Folder for theory.html.")  # fmt: skip
@click.option("--figures", type=click.Path(path_type=Path), help="Also write the figures to this folder, as NAME.svg.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Fixes every random number.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@click.option("--cifar", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Repeat the experiments on images with the binary version of CIFAR-10 and a residual network, instead of "
                   "digits; without other options, test only these claims.")  # fmt: skip
@click.option("--depth", type=int, help="With --cifar: layers of the network, 20 or 32. [default: 32]")
@click.option("--norm", type=Choice(["batch", "group"]),
              help="With --cifar: batch norm trains one network after another, group norm several at once. "
                   "[default: batch]")  # fmt: skip
@click.option("--epochs", type=click.IntRange(min=1), help="With --cifar: epochs of every training. [default: 200]")
@click.option("--members", type=click.IntRange(min=2),
              help="With --cifar: held-out models per sample; five times as many are trained. [default: 5]")  # fmt: skip
@click.option("--samples", type=click.IntRange(min=1), help="With --cifar: number of images. [default: all 50,000]")
@click.option("--device", help="With --cifar: cpu, cuda or cuda:N. [default: cpu]")
@click.option("--precision", help="With --cifar: float32, tf32 or bfloat16. [default: float32]")
def theory(
    full: bool,
    replicate: bool,
    only: tuple[str, ...],
    listed: bool,
    out: Path,
    figures: Path | None,
    seed: int,
    as_json: bool,
    quiet: bool,
    cifar: Path | None,
    **settings: Any,
) -> None:
    """Test every claim of the theory of difficulty and weights numerically, and write a page with a figure for each.

    Claims that fail are shown as failed, and the exit status is then 1.
    """
    import time

    from hardsight.theory import check, write_figures, write_page
    from hardsight.theory.catalogue import REPLICATION, select_claims
    from hardsight.theory.claims.replicated import STUDIED

    if listed:
        _list_claims()
        return
    study = _cifar_study(cifar, seed, settings)
    if replicate:
        full, only = True, (*only, *REPLICATION)
    elif study and not (only or full):
        only = tuple(STUDIED)
    selected = select_claims(only, full=full, study=study)
    lock_folder(out)
    if figures is not None:
        make_folder(figures)
    start = time.perf_counter()
    with count_progress("claims", len(selected), quiet=quiet) as on_progress:
        claims = check(only, full=full, seed=seed, on_result=lambda _: on_progress([]), study=study)
    page = out / "theory.html"
    write_page(claims, page, seed=seed, full=full)
    if figures is not None:
        write_figures(claims, figures)
    failed = [claim.name for claim in claims if not claim.holds]
    if as_json:
        summary = {"seed": seed, "full": full, "seconds": round(time.perf_counter() - start, 3), "failed": failed}
        print_json(summary | {"claims": [c.as_dict() for c in claims], "page": str(page)})
    else:
        _print_claims(claims, page)
    if failed:
        click.get_current_context().exit(1)


def _list_claims() -> None:
    from hardsight.theory import CLAIMS

    width, kinds = max(map(len, CLAIMS)), max(len(row.kind) for row in CLAIMS.values())
    for row in CLAIMS.values():
        click.echo(f"{row.name:<{width}}  {row.kind:<{kinds}}  {row.statement}")


def _cifar_study(folder: Path | None, seed: int, options: dict[str, Any]) -> ImageStudy | None:
    from hardsight.theory.cifar import make_study

    settings = {name: value for name, value in options.items() if value is not None}
    if folder is not None:
        return make_study(folder, seed=seed, **settings)
    if settings:
        raise click.UsageError(f"--{next(iter(settings))} needs --cifar FOLDER: name the folder, or leave it out")
    return None


def _print_claims(claims: Sequence[Claim], page: Path) -> None:
    from rich.console import Console

    from hardsight.theory.formatting import print_table

    console = Console(highlight=False)
    # A pipe has no width; the table needs about this much.
    console.width = console.width if console.is_terminal else 120
    print_table(claims, console)
    click.echo(f"\nwrote {page}")
