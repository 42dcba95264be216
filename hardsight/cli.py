"""The command line: parse, call, print. Heavy rooms are opened by the command that needs them."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hardsight import __version__
from hardsight.errors import HardsightError, first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hardsight.difficulty import Difficulty
    from hardsight.samples import Samples


class _Commands(click.Group):
    """Commands whose expected failures are one line on stderr and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HardsightError as fault:
            raise click.ClickException(" ".join(str(fault).split())) from fault
        except KeyboardInterrupt:
            click.echo("Interrupted: results are as they were. --resume goes on with what was trained.", err=True)
            ctx.exit(130)


_MOST_REVIEWED = 200_000
_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(cls=_Commands, context_settings=_SETTINGS)
@click.version_option(__version__, prog_name="hardsight")
def main() -> None:
    """Every training sample's difficulty, measured by models that never saw it."""


def _with(options: list[Any], command: Callable[..., None]) -> Callable[..., None]:
    """The command with these options, in their order."""
    for option in reversed(options):
        command = option(command)
    return command


def _run_options(command: Callable[..., None]) -> Callable[..., None]:
    options = [
        click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-results"), show_default=True,
                     help="Folder for difficulty.parquet, report.html and review.html."),
        click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Fixes every random number."),
        click.option("--hardest", type=click.IntRange(min=1), default=10, show_default=True, help="Samples to print."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object in place of the summary."),
        click.option("--quiet", is_flag=True, help="No progress bar."),
    ]  # fmt: skip
    return _with(options, command)


def _data_options(command: Callable[..., None]) -> Callable[..., None]:
    options = [
        click.option("--label",
                     help="Column (or array) of the labels; required for tables. For .npy: path of a file of labels."),
        click.option("--id", "id_", help="Column that names the samples, unique."),
        click.option("--group", help="Column whose equal values are never split between training and judging."),
        click.option("--text", help="Column that holds the texts to measure."),
        click.option("--drop", multiple=True, metavar="COLUMN", help="Column that is no feature; may be repeated."),
        click.option("--task", type=click.Choice(["auto", "classification", "regression"]), default="auto",
                     show_default=True, help="What the labels are."),
        click.option("--embedding", default="auto", show_default=True,
                     help="How texts and images become numbers: tfidf, sentence-transformers:NAME; pixels, pixels:SIZE, "
                          "efficientnet-lite0."),
    ]  # fmt: skip
    return _with(options, command)


@main.command()
@click.argument("data", type=click.Path(path_type=Path))
@_data_options
@click.option("--weights", metavar="COLUMN", help="Column of how much each sample counts in training, 0 or more.")
@click.option("--learner", default="auto", show_default=True, help="auto, or a name that `hardsight learners` lists.")
@click.option(
    "--loss", type=click.Choice(["log", "brier", "zero-one", "squared"]), help="[default: log; squared for numbers]"
)
@click.option(
    "--splits",
    type=click.Choice(["kfold", "subsets", "loo"]),
    default=None,
    help="Folds, random subsets or leave-one-out. [default: kfold]",
)
@click.option("--folds", type=int, default=None, help="Parts of a repeat. [default: 5]")
@click.option("--repeats", type=int, default=None, help="Held-out views of each sample. [default: 10]")
@click.option("--members", type=int, default=None, help="Models to train, with --splits subsets. [default: 100]")
@click.option("--ratio", type=float, default=None, help="Share to train on, with --splits subsets. [default: 0.7]")
@click.option("--reliability", type=float, default=None,
              help="Train until the ranking is this reliable (0.95, say), 50 repeats at most.")  # fmt: skip
@click.option("--budget", default=None, metavar="MODELS|TIME",
              help='Train so many models, in the folds and repeats that make the most of them: "20 models"; or end when a '
                   "time is spent: 90s, 10min, 2h.")  # fmt: skip
@click.option("--adjusted/--no-adjusted", default=None,
              help="Whether to try a second estimate of the errors from the in-sample losses of the same models. "
                   "[default: where it costs little]")  # fmt: skip
@click.option("--pilot/--no-pilot", default=None,
              help="Whether a few models choose first how long the networks are trained. "
                   "[default: with learner auto]")  # fmt: skip
@click.option("--refine/--no-refine", default=None,
              help="Whether models are trained again with automatic weights, to know wrong labels better. "
                   "[default: where labels look wrong]")  # fmt: skip
@click.option("--backend", type=click.Choice(["serial", "processes", "ray"]), default=None,
              help="Where models are trained. [default: serial; processes with --jobs 2 or more]")  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=1), default=None,
              help="Processes, or tasks of Ray, at a time. [default: 1; all cores with --backend]")  # fmt: skip
@click.option(
    "--address", default=None, help="Ray cluster: auto, host:port or ray://host:port. [default: this machine]"
)
@click.option("--resume", is_flag=True, help="Go on with the unfinished run in --out.")
@click.option("--duplicates", type=click.Choice(["together", "apart"]), default="together", show_default=True,
              help="Whether samples with equal features stay on one side of every split.")  # fmt: skip
@_run_options
def measure(
    data: Path,
    label: str | None,
    id_: str | None,
    group: str | None,
    weights: str | None,
    text: str | None,
    drop: tuple[str, ...],
    task: str,
    embedding: str,
    splits: str | None,
    members: int | None,
    ratio: float | None,
    **run: Any,
) -> None:
    """Measure the difficulty of every sample in DATA.

    DATA is a table (.csv, .tsv, .parquet), arrays (.npz with X and labels, .npy), or a folder with one subfolder of images
    or texts a class. Writes difficulty.parquet, report.html and review.html
    into --out.
    """
    from hardsight.samples import read

    roles = {"label": label, "id": id_, "group": group, "weights": weights, "text": text}
    samples = read(data, **roles, drop=drop, task=task, embedding=embedding)
    _measured(samples, source=data, splits=_splits(splits, members, ratio), **run)


@main.command()
@click.option("--data", default="digits", show_default=True, help="digits, wine or breast-cancer.")
@click.option("--flip", type=float, default=0.1, show_default=True, help="Share of labels to flip to another class.")
@_run_options
def demo(data: str, flip: float, out: Path, seed: int, **run: Any) -> None:
    """Run the main job on a real data set, some of whose labels are flipped so that the result can be judged."""
    from hardsight.demo import judge, prepare
    from hardsight.samples import read

    _folder(out)
    prepared = prepare(data, flip, seed, out)
    if not run["as_json"]:
        click.echo(f"{prepared.path}: {data}, {len(prepared.flipped)} labels flipped (seed {seed}). Now the same as\n")
        click.echo(f"    hardsight measure {prepared.path} --label y --out {out} --seed {seed}\n")
    result = _measured(read(prepared.path, label="y"), source=prepared.path, out=out, seed=seed, **run)
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


@main.command()
@click.argument("difficulty", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The page to write.",
)
def report(difficulty: Path, output: Path) -> None:
    """Write the HTML report of a saved DIFFICULTY (a difficulty.parquet); samples show by their ids."""
    from hardsight.difficulty import Difficulty

    Difficulty.load(difficulty).report(output)
    click.echo(f"wrote {output}")


def _shown_options(command: Callable[..., None]) -> Callable[..., None]:
    options = [
        click.option("--data", type=click.Path(path_type=Path), help="What was measured, to show samples as what they are."),
        click.option("--label", help="Column (or array, or file) of the labels, as for measure."),
        click.option("--id", "id_", help="Column that names the samples, as for measure."),
        click.option("--text", help="Column that holds the texts, as for measure."),
        click.option("--drop", multiple=True, metavar="COLUMN", help="Column that is no feature; may be repeated."),
        click.option("--embedding", default="auto", help="How texts and images become numbers, to find neighbours."),
    ]  # fmt: skip
    return _with(options, command)


def _reviewed(folder: Path, data: Path | None, id_: str | None, **how: Any) -> tuple[Difficulty, Samples | None]:
    """The result in a folder, and the samples that were measured if they are given."""
    from hardsight.difficulty import Difficulty
    from hardsight.samples import read

    result = Difficulty.load(folder / "difficulty.parquet" if folder.is_dir() else folder)
    if data is None:
        if any(value for name, value in how.items() if name != "embedding") or id_:
            raise click.UsageError("--label, --id, --text and --drop say how --data is read: give it, too")
        return result, None
    task = "regression" if result.regression else "classification"
    return result, read(data, id=id_, task=task, **how)


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@_shown_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The page to write. [default: DIR/review.html]")
def review(folder: Path, output: Path | None, **data: Any) -> None:
    """Write the page on which a person looks through all samples of DIR and decides about them.

    DIR is the --out of measure, or its difficulty.parquet.
    """
    from hardsight.review import write

    inside = folder if folder.is_dir() else folder.parent
    target = inside / "review.html" if output is None else output
    beside = target.parent == inside and (inside / "report.html").exists()
    result, samples = _reviewed(folder, **data)
    write(result, target, samples, "report.html" if beside else None)
    click.echo(f"wrote {target}")


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@_shown_options
@click.option("--port", type=click.IntRange(0, 65535), default=8377, show_default=True, help="0: any that is free.")
def serve(folder: Path, port: int, **data: Any) -> None:
    """Serve the review page of DIR on this machine alone (127.0.0.1); for data too large for one file.

    Decisions are kept in DIR/decisions.csv. Ctrl-C ends it.
    """
    try:
        from hardsight.review import server
    except ImportError:
        raise click.ClickException("the server's packages are missing: pip install 'hardsight[serve]'") from None
    result, samples = _reviewed(folder, **data)
    inside = folder if folder.is_dir() else folder.parent
    server.serve(result, samples, inside, port, lambda url: click.echo(f"review at {url} (Ctrl-C ends it)"))


@main.command()
def learners() -> None:
    """List the learners that --learner knows."""
    from hardsight.learners import LEARNERS

    width = max(map(len, LEARNERS))
    for name, row in LEARNERS.items():
        click.echo(f"{name:<{width}}  {row.what}")


@main.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object in place of the text.")
def measures(name: str | None, as_json: bool) -> None:
    """List the measures that hs.Record computes, or tell all of the one called NAME."""
    import json

    from hardsight.measures import MEASURES, described

    told = described(name)
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
    elif name is not None:
        _fields({field: ", ".join(value) if isinstance(value, list) else value for field, value in told.items()})
    else:
        width, deep = max(map(len, MEASURES)), max(len(row.what) for row in MEASURES.values())
        for row in MEASURES.values():
            click.echo(f"{row.name:<{width}}  {row.what:<{deep}}  {row.cost}")


@main.command()
@click.argument("difficulty", type=click.Path(path_type=Path))
@click.option("--scheme", default="auto", show_default=True, help="A name that `hardsight schemes` lists.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("weights.csv"), show_default=True,
              help="File of id and weight to write: .csv or .parquet.")  # fmt: skip
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE",
              help="A parameter of the scheme (lam=0.5), the value as JSON or text; may be repeated.")  # fmt: skip
@click.option("--clip", type=float, default=None, help="The largest weight; the mean stays 1. [default: none]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of schemes that draw.")
@click.option("--decisions", type=click.Path(path_type=Path), default=None, metavar="FILE",
              help="The csv of a review: dropped samples weigh 0, labels kept or put right are certain.")  # fmt: skip
def weigh(
    difficulty: Path,
    scheme: str,
    output: Path,
    given: tuple[str, ...],
    clip: float | None,
    seed: int,
    decisions: Path | None,
) -> None:
    """Turn a saved DIFFICULTY (a difficulty.parquet) into weights of mean 1, one a sample, by id."""
    from hardsight.difficulty import Difficulty
    from hardsight.weights import weigh as weighed
    from hardsight.weights.automatic import decide
    from hardsight.weights.of_difficulty import settled
    from hardsight.weights.words import summary
    from hardsight.weights.written import write

    d = Difficulty.load(difficulty)
    parameters = dict(_assigned(each) for each in given)
    try:
        weights = weighed(d, scheme, clip=clip, seed=seed, decisions=decisions, **parameters)
    except (AttributeError, TypeError) as fault:
        raise click.UsageError(
            f"a value of --set is of a wrong kind for scheme {scheme!r} ({first_line(fault)})"
        ) from fault
    write(d.ids, weights, output)
    if scheme == "auto":
        click.echo(decide(d if decisions is None else settled(d, decisions)[0]).text, err=True)
    click.echo(summary(d.ids, weights), err=True)
    click.echo(f"wrote {output}")


@main.command()
@click.argument("data", type=click.Path(path_type=Path))
@_data_options
@click.option("--counts", metavar="COLUMN",
              help="Column of how much each sample counts in every training, with the weights and without; what measure "
                   "calls --weights.")  # fmt: skip
@click.option("--difficulty", type=click.Path(path_type=Path),
              help="Of DATA: a difficulty.parquet, or its folder. [default: measured first]")  # fmt: skip
@click.option("--weights", type=click.Path(path_type=Path), help="File of id and weight, .csv or .parquet.")
@click.option("--scheme", "schemes", multiple=True, help="A name that `hardsight schemes` lists; may be repeated.")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE",
              help="A parameter of the scheme, where there is one scheme, as for `hardsight weigh`.")  # fmt: skip
@click.option("--clip", type=float, default=None, help="The largest weight of a scheme. [default: none]")
@click.option("--learner", default="auto", show_default=True, help="auto, or a name that `hardsight learners` lists.")
@click.option("--folds", type=int, default=None, help="Parts of a repeat. [default: 5]")
@click.option("--repeats", type=int, default=None, help="Held-out views of each sample by each arm. [default: 5]")
@click.option("--effect/--no-effect", default=True, show_default=True,
              help="Whether models are trained with and without the weights.")  # fmt: skip
@click.option("--dynamics/--no-dynamics", default=True, show_default=True,
              help="Whether the course of training is followed.")  # fmt: skip
@click.option("--target", type=click.Choice(["training", "balanced", "clean"]),
              help="The distribution that the bound is about. [default: clean]")  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=1), default=None, help="Processes at a time. [default: 1]")
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-results"), show_default=True,
              help="Folder for explanation.json and explanation.html.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Fixes every random number.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object in place of the text.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def explain(
    data: Path,
    label: str | None,
    id_: str | None,
    group: str | None,
    counts: str | None,
    text: str | None,
    drop: tuple[str, ...],
    task: str,
    embedding: str,
    difficulty: Path | None,
    weights: Path | None,
    schemes: tuple[str, ...],
    given: tuple[str, ...],
    clip: float | None,
    out: Path,
    seed: int,
    as_json: bool,
    quiet: bool,
    **how: Any,
) -> None:
    """Tell what weights of the samples in DATA are, what is to be expected of them, and what they do.

    Trains pairs of models that differ by the weights alone, and writes explanation.json and explanation.html into --out.
    """
    import json

    from hardsight.difficulty import Difficulty
    from hardsight.estimate import measure as measured
    from hardsight.explain.core import explain as explained
    from hardsight.samples import read
    from hardsight.weights import weigh as weighed
    from hardsight.weights.written import read as read_weights

    if weights is None and not schemes:
        schemes = ("auto",)
    if given and len(schemes) != 1:
        raise click.UsageError("--set goes with one --scheme")
    roles = {"label": label, "id": id_, "group": group, "weights": counts, "text": text}
    samples = read(data, **roles, drop=drop, task=task, embedding=embedding)
    _folder(out)
    if difficulty is None:
        d = measured(samples, learner=how["learner"], seed=seed, jobs=how["jobs"], progress=not quiet)
    else:
        d = Difficulty.load(difficulty / "difficulty.parquet" if difficulty.is_dir() else difficulty).select(
            samples.ids
        )
    named = {} if weights is None else {weights.stem: read_weights(weights, samples.ids)}
    parameters = dict(_assigned(each) for each in given)
    named |= {name: weighed(d, name, clip=clip, seed=seed, **parameters) for name in schemes}
    found = explained(samples, None, d, named, seed=seed, progress=not quiet, **how)
    table, page = out / "explanation.json", out / "explanation.html"
    found.save(table)
    found.report(page)
    if as_json:
        files = {"explanation": str(table), "report": str(page)}
        click.echo(json.dumps({**found.as_dict(), "files": files}, ensure_ascii=False, allow_nan=False))
    else:
        click.echo(f"{found.text}\n\nwrote {table} and {page}")


@main.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object in place of the text.")
def schemes(name: str | None, as_json: bool) -> None:
    """List the schemes that make weights of difficulty, or tell all of the one called NAME."""
    import json

    from hardsight.weights import SCHEMES
    from hardsight.weights import scheme as named
    from hardsight.weights.words import told as told_of

    if as_json:
        told = {row.name: row.described() for row in SCHEMES.values()} if name is None else named(name).described()
        click.echo(json.dumps(told, ensure_ascii=False))
    elif name is not None:
        _fields(told_of(named(name)))
    else:
        width, kinds = max(map(len, SCHEMES)), max(len(row.priority) for row in SCHEMES.values())
        for row in SCHEMES.values():
            click.echo(f"{row.name:<{width}}  {row.priority:<{kinds}}  {row.what}")


@main.command()
@click.option(
    "--full", is_flag=True, help="Many seeds, and the claims that need them: about 20 minutes in place of one."
)
@click.option("--replicate", is_flag=True, help="Those alone that repeat published experiments, with many seeds.")
@click.option(
    "--only", multiple=True, metavar="NAME", help="A claim to test; may be repeated. [default: all of the set]"
)
@click.option("--list", "listed", is_flag=True, help="Say what is claimed, and test nothing.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-theory"), show_default=True,
              help="Folder for theory.html.")  # fmt: skip
@click.option("--figures", type=click.Path(path_type=Path), help="Folder for the figures as files too, NAME.svg each.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Fixes every random number.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object in place of the table.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@click.option("--cifar", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Test the claims that repeat experiments on images with CIFAR-10's binary version and a residual "
                   "network, in place of digits; alone, only those.")  # fmt: skip
@click.option("--depth", type=int, help="With --cifar: layers of the network, 20 or 32. [default: 32]")
@click.option("--norm", type=click.Choice(["batch", "group"]),
              help="With --cifar: batch norm trains one network after another, group norm several at once. "
                   "[default: batch]")  # fmt: skip
@click.option("--epochs", type=click.IntRange(min=1), help="With --cifar: of every training. [default: 200]")
@click.option("--members", type=click.IntRange(min=2),
              help="With --cifar: held-out models a sample; five times as many are trained. [default: 5]")  # fmt: skip
@click.option("--samples", type=click.IntRange(min=1), help="With --cifar: images. [default: all 50,000]")
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
    """Test every claim of the theory of difficulty and weights by numbers, and write a page with a figure for each.

    Claims that fail are shown as failed, and the exit status is then 1.
    """
    import json
    import time

    from rich.console import Console

    from hardsight.lab import CLAIMS, check, draw, write
    from hardsight.lab import words as lab
    from hardsight.lab.cifar import study as cifar_study
    from hardsight.lab.claims.replicated import STUDIED
    from hardsight.lab.table import REPLICATION, chosen

    if listed:
        width, kinds = max(map(len, CLAIMS)), max(len(row.kind) for row in CLAIMS.values())
        for row in CLAIMS.values():
            click.echo(f"{row.name:<{width}}  {row.kind:<{kinds}}  {row.statement}")
        return
    given = {name: value for name, value in settings.items() if value is not None}
    if given and cifar is None:
        raise click.UsageError(f"--{next(iter(given))} is of --cifar FOLDER: name the folder, or leave it out")
    study = None if cifar is None else cifar_study(cifar, seed=seed, **given)
    if replicate:
        full, only = True, (*only, *REPLICATION)
    elif study and not (only or full):
        only = tuple(STUDIED)
    rows = chosen(only, full=full, study=study)
    _folder(out)
    if figures is not None:
        _folder(figures)
    start = time.perf_counter()
    with _counted("claims", len(rows), quiet=quiet) as tick:
        claims = check(only, full=full, seed=seed, tell=lambda _: tick([]), study=study)
    page = out / "theory.html"
    write(claims, page, seed=seed, full=full)
    if figures is not None:
        draw(claims, figures)
    failed = [claim.name for claim in claims if not claim.holds]
    if as_json:
        told = {"seed": seed, "full": full, "seconds": round(time.perf_counter() - start, 3), "failed": failed}
        click.echo(
            json.dumps(told | {"claims": [c.described() for c in claims], "page": str(page)}, ensure_ascii=False)
        )
    else:
        console = Console(highlight=False)
        # A pipe has no width of its own, and the table needs about this much.
        console.width = console.width if console.is_terminal else 120
        lab.table(claims, console)
        click.echo(f"\nwrote {page}")
    if failed:
        click.get_current_context().exit(1)


@main.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-results"), show_default=True,
              help="The folder that results are to be written to; none is made.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object in place of the text.")
@click.pass_context
def doctor(ctx: click.Context, out: Path, as_json: bool) -> None:
    """Print the environment, for a bug report: versions, cores, threads, accelerators, extras, folders.

    No names of users, folders or machines are among it. Exit status 1 where something is in the way.
    """
    import json

    from hardsight.doctor import examine, told

    found = examine(out)
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else told(found))
    ctx.exit(1 if found["faults"] else 0)


@main.group()
def bench() -> None:
    """Studies that rank hardsight against what else there is, run on this machine."""


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
    import json
    from dataclasses import asdict

    from hardsight.bench import speed as study
    from hardsight.bench import words

    known = (*study.CASES, "growth")
    strange = [name for name in cases if name not in known]
    if strange:
        raise click.UsageError(f"no case is called {strange[0]!r}: choose among {', '.join(known)}")
    top = study.peak()
    told: dict[str, Any] = {"machine": words.machine(), "peak_gflops": top, "runs": runs}
    if not as_json:
        click.echo(f"# Speed\n\n`hardsight bench speed`: {(study.__doc__ or '').strip()}\n")
        click.echo(f"Medians of {runs}; {words.machine()} A large matrix product: {top:,.0f} GFLOP/s.")
    for name in cases or known:
        if name == "growth":
            grown = list(study.growth(runs))
            told[name] = [each._asdict() for each in grown]
            text = words.growths(grown)
        else:
            case = study.CASES[name]()
            rows = study.timed(case, runs)
            told[name] = [asdict(row) for row in rows]
            text = words.speeds(case, rows, top)
        if not as_json:
            click.echo(f"\n{text}")
    if as_json:
        click.echo(json.dumps(told))


@bench.command("measures")
@click.option("--folder", type=click.Path(path_type=Path),
              help="Where the data sets lie that do not come with scikit-learn. [default: those are left out]")  # fmt: skip
@click.option("--sets", metavar="NAME,…", help="Data sets. [default: nine, or with no folder scikit-learn's]")
@click.option("--kinds", metavar="NAME,…", help="Kinds of hardness. [default: all]")
@click.option("--shares", metavar="SHARE,…", default="0.05,0.1,0.2,0.4", show_default=True, help="Of the samples.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="How many: 0, 1, …")
@click.option("--most", type=click.IntRange(min=50), default=1000, show_default=True, help="Samples of a set, at most.")
@click.option("--measure", "measures", multiple=True, metavar="MODULE:FUNCTION",
              help="A measure of yours: function(x, y, seed) gives a score a sample, higher for harder; may be "
                   "repeated.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-bench"), show_default=True,
              help="Folder for measures.parquet; cells that it holds are not run again.")  # fmt: skip
@click.option("--figures", type=click.Path(path_type=Path), help="Folder for the figures. [default: --out]")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes at a time.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def rank_measures(
    folder: Path | None,
    sets: str | None,
    kinds: str | None,
    shares: str,
    seeds: int,
    figures: Path | None,
    out: Path,
    jobs: int,
    quiet: bool,
    **how: Any,
) -> None:
    """Rank all measures of difficulty by how well they find samples that were made hard.

    Every set is made hard in every way, at every share, with every seed, and every measure ranks the samples. Prints a
    page in markdown. A run that was stopped goes on where it was.
    """
    from hardsight.bench import drawings, grid, ranks, words
    from hardsight.bench.hardness import KINDS

    default = ("digits", "wine", "breast-cancer") if folder is None else grid.SETS
    named = (_listed(sets) or default, _listed(kinds) or tuple(KINDS))
    cells = grid.cells(*named, _numbers("--shares", shares), range(seeds), folder)
    study = grid.Study(cells, folder, out, **how)
    with _counted("cells", grid.to_run(study), quiet=quiet) as tick:
        rows = grid.carry_out(study, jobs, tick)
    found = ranks.standing(rows)
    drawings.write(drawings.differences(found), (figures or out) / "measures-ranks.svg")
    drawings.write(drawings.heat(found), (figures or out) / "measures-kinds.svg")
    click.echo(words.measures(rows, found))


@bench.command("weights")
@click.option("--folder", type=click.Path(path_type=Path),
              help="Where the data sets lie that do not come with scikit-learn. [default: those are left out]")  # fmt: skip
@click.option("--sets", metavar="NAME,…", help="Data sets. [default: seven, or with no folder digits]")
@click.option("--noises", metavar="NAME,…", help="none, uniform-20, uniform-40, pair-40, instance-35. [default: all]")
@click.option("--imbalances", metavar="NAME,…", help="none, exp-10, exp-50, step-10, step-50. [default: all]")
@click.option("--learners", metavar="NAME,…", default="network,logistic,lightgbm", show_default=True,
              help="Those, or long-network.")  # fmt: skip
@click.option("--schemes", metavar="NAME,…", help="Rows besides uniform and oracle. [default: all]")
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="How many: 0, 1, …")
@click.option("--most", type=click.IntRange(min=50), default=1500, show_default=True,
              help="Training samples, at most.")  # fmt: skip
@click.option("--again", metavar="NAME,…", help="Rows that are run again although --out holds them.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-weights"), show_default=True,
              help="Folder for weights.parquet; what it holds is not run again.")  # fmt: skip
@click.option("--figures", type=click.Path(path_type=Path), help="Folder for the figures. [default: --out]")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes at a time.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def gain_of_weights(
    folder: Path | None,
    sets: str | None,
    noises: str | None,
    imbalances: str | None,
    learners: str,
    schemes: str | None,
    seeds: int,
    most: int,
    again: str | None,
    out: Path,
    figures: Path | None,
    jobs: int,
    quiet: bool,
) -> None:
    """Train with the weights of every scheme on mislabelled and unbalanced data, and judge on clean data.

    Prints a page in markdown: how much of what the truth would gain each scheme gains. A run that was stopped goes on where
    it was.
    """
    from hardsight.bench import drawings, gains_page, worlds
    from hardsight.bench import gains as gained
    from hardsight.bench import schemes as field
    from hardsight.bench import weights as study

    names = _listed(sets) or (("digits",) if folder is None else study.SETS)
    kinds = (_listed(noises) or tuple(worlds.NOISES), _listed(imbalances) or tuple(worlds.IMBALANCES))
    cells = worlds.cells(names, *kinds, range(seeds))
    whole = study.Study(
        cells, _listed(learners), field.rows(_listed(schemes)), folder, out, most=most, again=_listed(again)
    )
    with _counted("cells", len(study.jobs_of(whole)), quiet=quiet) as tick:
        rows = study.carry_out(whole, jobs, tick)
    found = {learner: gained.gains(rows[rows["learner"] == learner]) for learner in whole.learners}
    for learner, one in found.items():
        drawings.write(drawings.gained(one), (figures or out) / f"weights-{learner}.svg")
    click.echo(gains_page.page(rows, found))


@bench.command()
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Where the files of ratings lie.")
@click.option("--sets", metavar="NAME,…", default="movies,products", show_default=True, help="Rated texts.")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="How many: 0, 1, …")
@click.option("--most", type=click.IntRange(min=50), default=4000, show_default=True, help="Samples of a set, at most.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-bench"), show_default=True,
              help="Folder for humans.parquet.")  # fmt: skip
@click.option("--quiet", is_flag=True, help="No progress bar.")
def humans(folder: Path, sets: str, seeds: int, most: int, out: Path, quiet: bool) -> None:
    """Compare difficulty with the disagreement of human raters, and find the labels that single raters got wrong.

    Prints a page in markdown.
    """
    from hardsight.bench import humans as study
    from hardsight.bench import words
    from hardsight.files import atomic

    _folder(out)
    names = _listed(sets)
    with _counted("sets and seeds", seeds * len(names), quiet=quiet) as tick:
        rows = study.table(names, folder, most, seeds, lambda: tick([]))
    with atomic(out / "humans.parquet") as path:
        rows.to_parquet(path)
    click.echo(words.humans(rows))


@bench.command()
@click.option("--folder", type=click.Path(path_type=Path),
              help="Where the data sets lie that do not come with scikit-learn. [default: those are left out]")  # fmt: skip
@click.option("--sets", metavar="NAME,…", help="Data sets. [default: nine, or with no folder digits]")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="How many: 0, 1, …")
@click.option("--most", type=click.IntRange(min=50), default=3000, show_default=True, help="Samples of a set, at most.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("hardsight-bench"), show_default=True,
              help="Folder for the rows, as parquet.")  # fmt: skip
@click.option("--quiet", is_flag=True, help="No progress bar.")
def factors(folder: Path | None, sets: str | None, seeds: int, most: int, out: Path, quiet: bool) -> None:
    """Tell whether the ledger names the right factor where several make samples hard at once.

    Prints a page in markdown: lines against injected factors, causes, and how well P(label wrong) is calibrated.
    """
    from hardsight.bench import factors as study
    from hardsight.bench import words
    from hardsight.files import atomic

    _folder(out)
    names = _listed(sets) or (("digits",) if folder is None else study.SETS)
    with _counted("measurements", study.steps(names, seeds), quiet=quiet) as tick:
        found = study.run(names, folder, most, seeds, lambda: tick([]))
    for part, rows in found._asdict().items():
        with atomic(out / f"factors-{part}.parquet") as path:
            rows.to_parquet(path)
    click.echo(words.factors(found))


@contextmanager
def _counted(what: str, total: int, *, quiet: bool) -> Iterator[Callable[[list[str]], None]]:
    """A progress bar; each kind of failure is told once, at once."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    told: set[str] = set()
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True, highlight=False), disable=quiet) as bar:
        task = bar.add_task("", total=total)

        def tick(faults: list[str]) -> None:
            bar.advance(task)
            for fault in sorted(set(faults) - told):
                told.add(fault)
                click.echo(f"no score: {fault}", err=True)

        yield tick


def _discard(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _fields(told: dict[str, Any]) -> None:
    width = max(map(len, told))
    for field, value in told.items():
        click.echo(f"{field:<{width}}  {value}".rstrip())


def _assigned(text: str) -> tuple[str, Any]:
    """The name and the value of NAME=VALUE."""
    import json

    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.UsageError(f"--set takes NAME=VALUE, lam=0.5. Got {text!r}")
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        return name.strip(), value


def _listed(names: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (names or "").split(",") if name.strip())


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(each) for each in _listed(text)]
    except ValueError:
        raise click.UsageError(f"{option} takes numbers with commas between them. Got {text!r}") from None


def _splits(splits: str | None, members: int | None, ratio: float | None) -> Any:
    if splits != "subsets":
        if members is not None or ratio is not None:
            raise click.UsageError("--members and --ratio go with --splits subsets")
        return splits
    from hardsight.splits import Subsets

    given = {"members": members, "ratio": ratio}
    return Subsets(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def _folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise click.ClickException(
            f"cannot make the folder {out}: {fault.strerror}: choose another with --out"
        ) from fault


def _measured(
    samples: Samples, *, source: Path, out: Path, seed: int, hardest: int, as_json: bool, quiet: bool, **how: Any
) -> Difficulty:
    import io
    import json
    import sys
    import time
    import warnings

    from rich.console import Console

    from hardsight.console import machine, summary
    from hardsight.estimate import measure as measured
    from hardsight.refine import checkpoints

    _folder(out)
    progress = out / "progress.npz"
    held = (progress, *checkpoints(progress))
    if progress.exists() and not how.get("resume"):
        click.echo(f"{progress} of an unfinished run is discarded; --resume would have continued it.", err=True)
        _discard(held)
    start = time.perf_counter()
    with warnings.catch_warnings():
        # They stand among the result's notices, which are printed.
        warnings.simplefilter("ignore")
        result = measured(samples, seed=seed, progress=not quiet, checkpoint=progress, **how)
    result.settings["source"] = source.name
    seconds = time.perf_counter() - start
    table, page = out / "difficulty.parquet", out / "report.html"
    result.save(table)
    # A page of more samples than this is slow to open; hardsight serve hands it over piece by piece.
    whole = len(result) <= _MOST_REVIEWED
    result.report(page, review="review.html" if whole else None)
    if whole:
        result.review(out / "review.html", report="report.html")
    else:
        # One of an earlier run would show another result.
        _discard([out / "review.html"])
    # All that they held stands in the two files now.
    _discard(held)
    if as_json:
        files = {"difficulty": str(table), "report": str(page)}
        files |= {"review": str(out / "review.html")} if whole else {}
        click.echo(json.dumps(machine(result, hardest=hardest, seconds=seconds, files=files), ensure_ascii=False))
        return result
    # Where a terminal has no such letter, a question mark is better than no summary.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    console = Console(highlight=False)
    # A pipe has no width of its own, and the tables need about this much.
    console.width = console.width if console.is_terminal else 100
    summary(result, hardest=hardest, seconds=seconds, console=console)
    pages = f"{page} and {out / 'review.html'}" if whole else f"{page}; to review samples: hardsight serve {out}"
    click.echo(f"\nwrote {table}, {pages}")
    return result


if __name__ == "__main__":
    main()
