"""SIGKILL at any moment: every file is the old one or the new one, and what was begun ends as if nothing had been.

HARDSIGHT_KILLS says how often commands that take long are killed; `make faults` takes 50.
"""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from support.folders import read_folder

import hardsight as hs

KILLS = int(os.environ.get("HARDSIGHT_KILLS", "4"))
# Of commands that take milliseconds.
QUICK_KILLS = max(KILLS, 10)
MOST_LATE = 0.002
DATA = "iris.csv"
MEASURE = (
    "measure",
    "--label",
    "kind",
    "--learner",
    "ridge",
    "--quiet",
    "--folds",
    "2",
    "--repeats",
    "24",
    "--no-pilot",
    "--refine",
)
EXPLAIN = ("explain", "--label", "kind", "--learner", "ridge", "--no-effect", "--no-dynamics", "--quiet")


class Warm:
    """See :mod:`killed`."""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).parents[1] / "support" / "killable_commands.py"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder,
        )  # fmt: skip

    def order(self, **asked):
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    return tmp_path_factory.mktemp("kills")


@pytest.fixture(scope="module")
def warm(room):
    frame = load_iris(as_frame=True).frame.rename(columns={"target": "kind"})
    wrong = np.random.default_rng(0).choice(len(frame), 20, replace=False)
    frame.loc[wrong, "kind"] = (frame.loc[wrong, "kind"] + 1) % 3
    frame.to_csv(room / DATA, index=False)
    process = Warm(room)
    out = str(room / "warm")
    process.order(command=[*MEASURE, DATA, "--out", out], folder=out, warm=True)
    process.order(command=["weigh", f"{out}/difficulty.parquet", "-o", f"{out}/w.csv"], folder=out, warm=True)
    process.order(command=[*EXPLAIN, DATA, "--difficulty", out, "--out", out], folder=out, warm=True)
    yield process
    # Reads what is left of the answers, none, and closes both pipes.
    assert process.process.communicate(timeout=60)[0] == ""
    assert process.process.returncode == 0


def filled(folder, files):
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def killed(warm, folder, before, command, again, check, times=KILLS):
    """Kill a command so many times, from the same state; ``check`` looks at what is left, and ``again`` must fix it.

    A third of the moments are drawn from the command's time, a third just before its operations on files, a third soon
    after them.
    """
    draw, kills, tries = random.Random(0), 0, 0
    filled(folder, before)
    whole = warm.order(command=command, folder=str(folder))
    assert whole["status"] == 0
    after = read_folder(folder)
    while kills < times and tries < 4 * times:
        tries += 1
        filled(folder, before)
        moment = {"at": draw.randint(1, whole["operations"]), "late": MOST_LATE * draw.random() ** 2 * (tries % 3)}
        if tries % 3 == 2:
            moment = {"after": draw.uniform(0, whole["seconds"])}
        ended = warm.order(command=command, folder=str(folder), **moment)
        assert ended["status"] in (0, -9), moment
        kills += ended["status"] == -9
        found = read_folder(folder)
        for name, content in after.items():
            assert found.get(name) in (before.get(name), content), (name, moment)
        extra = set(found) - set(after) - set(before)
        check({name: found[name] for name in extra if not name.endswith(".part")})
        assert sum(name.endswith(".part") for name in extra) <= 1, (extra, moment)
        assert warm.order(command=again, folder=str(folder))["status"] == 0, moment
        assert read_folder(folder) == after, moment
    assert kills == times
    return after


@pytest.fixture
def report(capsys):
    def tell(text):
        with capsys.disabled():
            if "HARDSIGHT_KILLS" in os.environ:
                print(f"\n{text}")

    return tell


@pytest.mark.slow
def test_measure(warm, room, report):
    folder = room / "measure"
    command = [*MEASURE, DATA, "--out", str(folder)]
    assert warm.order(command=[*command, "--seed", "1"], folder=str(folder))["status"] == 0
    before = read_folder(folder)

    def check(extra):
        assert set(extra) <= {"progress.npz", "progress.round2.npz"}
        for name in extra:
            with np.load(folder / name, allow_pickle=False) as arrays:
                assert all(arrays[one] is not None for one in arrays.files)

    after = killed(warm, folder, before, command, [*command, "--resume"], check)
    assert set(after) == set(before) == {"difficulty.parquet", "difficulty.csv", "report.html", "review.html"}
    assert all(after[name] != before[name] for name in after)
    report(f"measure: {KILLS} kills survived; the same bytes after --resume")


@pytest.fixture(scope="module")
def results(warm, room):
    folder = room / "results"
    command = [*MEASURE, DATA, "--out", str(folder)]
    assert warm.order(command=command, folder=str(folder))["status"] == 0
    return folder / "difficulty.parquet"


def nothing(extra):
    assert not extra


@pytest.mark.slow
@pytest.mark.parametrize("name", ["weights.csv", "weights.parquet"])
def test_weigh(warm, room, results, report, name):
    folder = room / f"weigh {name}"
    folder.mkdir()
    command = ["weigh", str(results), "-o", str(folder / name)]
    hs_ids = hs.load(results).ids
    frame = pd.DataFrame({"id": hs_ids, "weight": np.ones(len(hs_ids))})
    frame.to_csv(folder / name, index=False) if name.endswith(".csv") else frame.to_parquet(folder / name, index=False)
    killed(warm, folder, read_folder(folder), command, command, nothing, QUICK_KILLS)
    report(f"weigh to {name}: {QUICK_KILLS} kills survived")


@pytest.mark.slow
def test_explain(warm, room, results, report):
    folder = room / "explain"
    command = [*EXPLAIN, DATA, "--difficulty", str(results), "--out", str(folder)]
    assert warm.order(command=[*command, "--scheme", "balanced"], folder=str(folder))["status"] == 0
    killed(warm, folder, read_folder(folder), command, command, nothing)
    report(f"explain: {KILLS} kills survived")


@pytest.mark.slow
def test_review(warm, room, results, report):
    folder = room / "review"
    folder.mkdir()
    (folder / "page.html").write_text("the page of before")
    command = ["review", str(results), "-o", str(folder / "page.html")]
    killed(warm, folder, read_folder(folder), command, command, nothing, QUICK_KILLS)
    report(f"review: {QUICK_KILLS} kills survived")
