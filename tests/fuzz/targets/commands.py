"""Words on the command line. Training is left out: what is asked for may rightly take long."""

from functools import cache
from pathlib import Path
from random import Random
from unittest.mock import patch

import click

from fuzz.mutations import TOKENS
from fuzz.target import Target
from fuzz.targets.results import result, saved
from hardsight.errors import InputError

_MARK = "\x1f"
# These two hold the process; those with a path of code are the user's own.
_NEVER = {"serve", "--measure", "--address", "--backend", "--jobs"}
_TABLE = "a,b,y,id\n" + "".join(f"{i / 7:.3f},{'xyz'[i % 3]},{'pq'[i % 2]},i{i}\n" for i in range(24))
_COMMANDS = (
    "measure data.csv --label y --learner ridge --budget 20models --quiet",
    "measure data.csv --label y --id id --drop b --splits subsets --members 4 --ratio 0.5 --seed 3",
    "measure data.csv --label y --folds 3 --repeats 2 --reliability 0.9 --loss brier --task auto",
    "measure data.csv --label y --splits loo --learner ridge --no-pilot --no-refine --no-adjusted --duplicates apart",
    "measure data.csv --label y --text b --embedding tfidf --budget 90s",
    "measure images --embedding pixels:8 --learner forest",
    "weigh d.parquet --scheme focal --set gamma=2 -o w.csv --clip 3",
    "weigh d.parquet --scheme spl-linear --set lam=0.5 --set x=[1,2] --seed 1 -o w.parquet",
    "weigh d.parquet --scheme auto --decisions dec.csv",
    "schemes focal --json", "schemes", "measures aum", "measures --json", "learners", "doctor --out x",
    "report d.parquet -o r.html",
    "review d.parquet --data data.csv --label y -o p.html",
    "explain data.csv --label y --id id --scheme focal --set gamma=1 --repeats 2 --target clean --no-effect --no-dynamics",
    "demo --data wine --flip 0.1 --seed 1", "theory --list", "theory --only dual --cifar x --depth 20",
    "bench measures --sets digits --kinds flips --shares 0.1,0.2 --seeds 1 --most 60",
    "bench weights --sets digits --noises uniform --imbalances none --learners logistic --schemes focal --seeds 1",
    "bench humans --folder x --sets movies", "bench factors --sets digits --most 60", "bench speed --case growth --runs 1",
    "--version", "--help", "measure --help",
)  # fmt: skip


class _TrainingError(Exception):
    """Training would begin: all arguments were taken."""


def _would_train(*_: object, **__: object) -> None:
    raise _TrainingError


# Where the work begins that arguments ask for.
_WORK = (
    "hardsight.estimation.runner.Runner.run", "hardsight.explanation.analysis.train_arms",
    "hardsight_bench.measures_study.run_study",
    "hardsight_bench.weights_study.run_study", "hardsight_bench.humans.run_study", "hardsight_bench.factors.run_study",
    "hardsight_bench.speed.time_case", "hardsight_bench.speed.measure_growth", "hardsight_bench.speed.measure_peak",
    "hardsight.theory.check", "hardsight.cli.doctor.examine", "hardsight.explanation.analysis.follow_training",
)  # fmt: skip


@cache
def _files() -> dict[str, bytes]:
    d = result("classes")
    return {
        "data.csv": _TABLE.encode(), "d.parquet": saved(d), "dec.csv": f"id,action\n{d.ids[0]},drop\n".encode(),
    }  # fmt: skip


def _word(rng: Random, data: bytes) -> bytes:
    """Words changed, taken out, put in, or taken from another command."""
    words = data.decode("utf-8", "replace").split(_MARK)
    values = (
        *(token.decode("utf-8", "replace") for token in TOKENS), "0", "-1", "1", "2", "0.5", "1e9",
        "99999999999999999999", "1e-300", "20 models",
        "0 models", "-5 models", "9e99 models", "10min", "-1s", "infs", "nan models", "pixels:", "pixels:0",
        "pixels:99999999", "lam=", "=1",
        "lam=NaN", "lam=[[]]", "gamma=1e400", "gamma=\"x\"", "gamma={\"a\":1}", "gamma=null", "d=1", "scheme=1",
        "self=1", "clip=1", "seed=x",
        ",", ",,,", "digits," * 50, "--", "-", "-x", "--help", "kfold", "loo", "movies", "logistic", "all",
        "/etc/passwd", "/dev/null", ".", "nowhere.csv",
        "d.parquet", "images", "data.csv", "w.txt", "x/y/z.csv", "a" * 300, "x.npz", "\0.csv", "os:system", "json:loads",
    )  # fmt: skip
    at = rng.randrange(len(words))
    way = rng.random()
    if way < 0.45:
        words[at] = rng.choice(values)
    elif way < 0.6 and "=" in words[at]:
        name = words[at].partition("=")[0]
        words[at] = f"{name}={rng.choice(values)}"
    elif way < 0.7:
        del words[at]
    elif way < 0.85:
        words.insert(at, rng.choice(values))
    else:
        other = rng.choice(_COMMANDS).split()
        words[at:at] = other[rng.randrange(len(other)) :][:2]
    return _MARK.join(words).encode("utf-8", "replace")


def _enter(data: bytes, folder: Path) -> None:
    from hardsight.cli import main

    words = data.decode("utf-8", "surrogateescape").split(_MARK)
    if any(word.split("=")[0] in _NEVER for word in words) or any("\0" in word for word in words):
        raise InputError("--words that are not tried here")
    for name, content in _files().items():
        (folder / name).write_bytes(content)
    patches = [patch(name, _would_train) for name in _WORK if _is_there(name)]
    for each in patches:
        each.start()
    try:
        main.main(args=words, prog_name="hardsight", standalone_mode=False)
    except _TrainingError:
        return
    except click.exceptions.Exit as left:
        if left.exit_code not in (0, 1, 2):
            raise
    except click.ClickException as refusal:
        text = " ".join(refusal.format_message().split())
        raise InputError(text) from None
    except OSError as fault:
        # What the system refuses is one line when the command runs by itself.
        raise InputError(f"{fault.filename!r}: {fault.strerror}") from None
    finally:
        for each in patches:
            each.stop()


@cache
def _is_there(name: str) -> bool:
    from importlib import import_module

    module, _, attribute = name.rpartition(".")
    try:
        return hasattr(import_module(module), attribute)
    except ModuleNotFoundError:  # the benchmarks are a distribution of their own
        return False


def _commands() -> list[bytes]:
    return [_MARK.join(command.split()).encode() for command in _COMMANDS]


TARGETS = [Target("commands", "words on the command line", _commands, (_word,), _enter, 0.15)]
