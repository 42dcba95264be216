"""Several processes at once: on one folder, on one file, forked, spawned, orphaned, with one thread and with many."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support.command_line import run
from support.waiting import wait_until

import hardsight as hs
from hardsight.io.atomic import atomic_write
from hardsight.io.locks import lock

SECONDS = 120
# Each costs a process that learns it from the start, twice.
LEARNERS = ("logistic", "network", "forest") if "HARDSIGHT_KILLS" in os.environ else ("logistic",)


def locked(folder):
    file = os.open(folder, os.O_RDONLY)
    try:
        lock(file)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


@pytest.mark.parametrize(
    "command",
    [("measure", "{iris_file}", "--label", "kind", "--learner", "ridge"), ("demo", "--data", "wine"),
     ("explain", "{iris_file}", "--label", "kind"), ("theory", "--only", "dual-closed-form")],
    ids=lambda command: command[0],
)  # fmt: skip
def test_a_folder_that_another_command_writes_to_is_refused(iris_file, tmp_path, command):
    file = os.open(tmp_path, os.O_RDONLY)
    lock(file)
    ended = run(*(part.format(iris_file=iris_file) for part in command), "--quiet", "--out", tmp_path)
    os.close(file)
    assert ended.exit_code == 1, ended.output
    assert ended.stderr.startswith(f"Error: another hardsight is writing into {tmp_path}: wait until it ends, or choose")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_two_measurements_into_one_folder(iris_file, tmp_path):
    out = tmp_path / "out"
    command = ["measure", iris_file, "--label", "kind", "--learner", "ridge", "--no-refine", "--quiet", "--out", out]
    first = subprocess.Popen(
        [sys.executable, "-m", "hardsight.cli", *command, "--repeats", "1000"], stdout=subprocess.DEVNULL
    )
    wait_until(lambda: out.exists() and locked(out))
    second = run(*command, "--repeats", "2", "--seed", "1")
    assert second.exit_code == 1
    assert "another hardsight is writing into" in second.stderr
    assert first.wait(SECONDS) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "difficulty.csv",
        "difficulty.parquet",
        "report.html",
        "review.html",
    ]
    assert hs.load(out / "difficulty.parquet").settings["seed"] == 0
    # The lock ends with the command.
    assert run(*command, "--repeats", "2", "--seed", "1").exit_code == 0
    assert hs.load(out / "difficulty.parquet").settings["seed"] == 1


def test_many_writers_of_one_file(tmp_path):
    target, writers, times = tmp_path / "out", 3, 60
    children = []
    for writer in range(writers):
        if child := os.fork():
            children.append(child)
            continue
        for time_ in range(times):
            with atomic_write(target) as temporary:
                temporary.write_text(f"{writer}" * (5000 + 100 * time_))
        os._exit(0)
    seen = set()
    while children:
        if target.exists():
            text = target.read_text()
            assert len(text) >= 5000
            assert len(set(text)) == 1
            seen.add(text)
        children = [child for child in children if os.waitpid(child, os.WNOHANG) == (0, 0)]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert len(seen) > 1


def children_of(parent):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="children are looked up in /proc")
def test_nothing_is_left_of_a_killed_process_with_workers(iris_file, tmp_path):
    out, temporary = tmp_path / "out", tmp_path / "temporary"
    temporary.mkdir()
    command = ["measure", iris_file, "--label", "kind", "--no-pilot", "--quiet", "--jobs", "2", "--repeats", "2000"]
    command += ["--out", out]
    process = subprocess.Popen(
        [sys.executable, "-m", "hardsight.cli", *map(str, command)], env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_until((out / "progress.npz").exists)
    workers = children_of(process.pid)
    assert len(workers) >= 2
    assert list(temporary.glob("hardsight-*/job"))
    process.send_signal(signal.SIGKILL)
    process.wait(SECONDS)
    wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    wait_until(lambda: not list(temporary.iterdir()))
    with np.load(out / "progress.npz", allow_pickle=False) as file:
        assert len(file["header"])


# Run with two threads by a process of its own: this one has worked with one thread, which no fork would mind.
BRANCHES = """
import json, multiprocessing, sys
from pathlib import Path

def told(path):
    import numpy as np
    import torch
    import hardsight as hs
    with np.load(path) as held:
        x, y = held["x"], held["y"]
    found = {name: hs.measure(x, y, learner=name, repeats=2, refine=False, estimate=hs.Estimate(adjusted=False, pilot=False))
             for name in sys.argv[2].split(",")}
    return {name: [d.error.tolist(), d.ids[np.argsort(-d.error, kind="stable")].tolist()] for name, d in found.items()}

if __name__ == "__main__":
    import torch
    assert torch.get_num_threads() == 2
    # More numbers than a thread takes at once: from here on there are threads to be lost in a fork.
    torch.randn(2_000_000).exp().sum()
    answers = {"here": told(sys.argv[1])}
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            answers[method] = pool.apply_async(told, [sys.argv[1]]).get(timeout=300)
    print(json.dumps(answers))
"""


@pytest.mark.slow
def test_forked_spawned_and_with_two_threads(tmp_path):
    rng = np.random.default_rng(3)
    y = rng.integers(0, 3, 150)
    x = rng.normal(size=(150, 30)) + y[:, None] * rng.normal(size=30)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    (tmp_path / "branches.py").write_text(BRANCHES)
    done = subprocess.run(
        [sys.executable, tmp_path / "branches.py", tmp_path / "data.npz", ",".join(LEARNERS)],
        env=os.environ | {"OMP_NUM_THREADS": "2"}, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    branches = json.loads(done.stdout)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for name in LEARNERS:
        d = hs.measure(x, y, learner=name, repeats=2, estimate=hs.Estimate(pilot=False, adjusted=False), refine=False)
        for branch, found in branches.items():
            error, ranked = found[name]
            np.testing.assert_allclose(error, d.error, rtol=1e-6, err_msg=f"{name}, {branch}")
            assert ranked == d.ids[np.argsort(-d.error, kind="stable")].tolist(), (name, branch)
        assert branches["spawn"][name] == branches["here"][name]
    torch.set_num_threads(threads)
