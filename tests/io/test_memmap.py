"""Where arrays lie changes no number, takes no memory that is not there, and leaves nothing behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_wine

import hardsight as hs
from hardsight.errors import InputError
from hardsight.estimation.checkpoint import Checkpoint
from hardsight.io import memmap
from hardsight.io.memmap import ArrayAllocator, row_blocks
from hardsight.measures.held_out import HeldOut

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


@contextmanager
def free_memory(size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memmap, "free_memory", lambda: size)
        yield


@contextmanager
def block_of(numbers):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memmap, "_BLOCK", numbers)
        yield


def bytes_of(record):
    found = {name: value.numpy().tobytes() for name, value in record.state().items()}
    losses = ("squared",) if record.classes is None else ("log", "brier", "zero-one")
    for loss in losses:
        parts = (*record.decompose(loss), record.standard_error(loss))
        # 0 / 0 has the sign that the place in a vector register gives it.
        found |= {f"{loss} {k}": part.abs().where(part.isnan(), part).numpy().tobytes() for k, part in enumerate(parts)}
    if record.classes is not None:
        found["consensus"] = record.consensus.numpy().tobytes()
        found["majority"] = record.majority.numpy().tobytes()
    return found


# --- the same numbers --------------------------------------------------------------------------


@st.composite
def histories(draw):
    """What happens to a record: views, in-sample views, records merged into it, and being saved and read anew."""
    samples, classes = draw(st.integers(1, 9)), draw(st.sampled_from([None, 2, 3, 7]))
    steps = draw(st.lists(st.sampled_from(["view", "view", "seen", "merge", "restore"]), max_size=8))
    return samples, classes, steps, draw(st.integers(0, 2**32))


def lived(samples, classes, steps, seed, folder):
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(rng.normal(size=samples) if classes is None else rng.integers(classes, size=samples))
    record = HeldOut(labels, classes, "squared" if classes is None else "log")

    def add(record, step, turn):
        rows = np.flatnonzero(rng.random(samples) < 0.7)
        values = torch.from_numpy(rng.normal(size=(len(rows), *(() if classes is None else (classes,)))))
        (record.add_in_sample if step == "seen" else record.add)(torch.from_numpy(rows), values, turn)

    for turn, step in enumerate(steps):
        if step == "merge":
            other = HeldOut(labels, classes, record.in_sample)
            for k in range(3):
                add(other, "view", turn + k)
            record.merge(other)
        elif step == "restore":
            kept = Checkpoint(folder / "kept.npz", {})
            kept.save(record, turn, [])
            record = HeldOut(labels, classes, record.in_sample)
            assert kept.restore(record) == (turn, [], None)
        else:
            add(record, step, turn)
    return record


@pytest.mark.slow
@settings(max_examples=30)
@given(histories(), st.integers(1, 12))
def test_neither_files_nor_blocks_change_a_byte(tmp_path_factory, history, numbers):
    folder = tmp_path_factory.mktemp("kept")
    plain = lived(*history, folder)
    known = bytes_of(plain)
    with free_memory(0), block_of(numbers):
        mapped = lived(*history, folder)
        assert plain.notice is None
        assert "temporary files" in mapped.notice
        assert bytes_of(mapped) == known


@given(st.integers(0, 50), st.integers(0, 20), st.integers(1, 30))
def test_blocks_are_all_rows_once_and_no_larger_than_they_may_be(rows, width, numbers):
    with block_of(numbers):
        parts = list(row_blocks(rows, width))
    assert np.concatenate([np.arange(rows)[part] for part in parts]).tolist() == list(range(rows))
    assert all(part.stop - part.start <= max(1, numbers // max(width, 1)) for part in parts)
    assert parts


RUN = """
import sys, numpy as np, hardsight as hs
from dataclasses import replace
from hardsight.io import memmap
from sklearn.datasets import load_wine
free, out = sys.argv[1:]
if free != "all":
    memmap.free_memory = lambda: int(free)
d = hs.measure(*load_wine(return_X_y=True), learner="ridge", repeats=3, execution=hs.Execution(checkpoint=out + ".npz"))
held = [line for line in open("/proc/self/maps") if "(deleted)" in line and "TEMPORARY" in line]
print(len(held))
print(*d.settings["notices"], sep="\\n")
d = replace(d, run=replace(d.run, notices=()))
d.save(out + ".parquet")
"""


def run(code, *arguments, folder, start=subprocess.run, **more):
    code = textwrap.dedent(code).replace("TEMPORARY", str(folder))
    environment = os.environ | {"TMPDIR": str(folder)}
    return start([sys.executable, "-c", code, *map(str, arguments)], env=environment, text=True,
                 stdout=subprocess.PIPE, **more)  # fmt: skip


@pytest.mark.slow
@LINUX
def test_a_run_of_files_ends_with_the_same_bytes(tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    results = {}
    for free in ("all", "0"):
        done = run(RUN, free, tmp_path / free, folder=folder, check=True)
        results[free] = done.stdout.splitlines()
    assert results["all"] == ["0", ""]
    # The result keeps the consensus and the counts; the files of all else went with the record.
    assert results["0"][0] == "2"
    assert results["0"][1] == (
        f"The data kept per sample ({8 * 178 * (4 * 3 + 33) / 2**30:.3g} GiB) needs more than half of the free memory, so "
        f"it is stored in temporary files in {folder}."
    )
    assert (tmp_path / "0.parquet").read_bytes() == (tmp_path / "all.parquet").read_bytes()
    with np.load(tmp_path / "0.npz") as mapped, np.load(tmp_path / "all.npz") as plain:
        assert mapped.files == plain.files
        assert all(mapped[name].tobytes() == plain[name].tobytes() for name in mapped.files)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("loss", ["log", "brier", "zero-one"])
def test_predictions_as_given_may_lie_in_files_too(loss):
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(4, 50, 3)), rng.integers(3, size=50)
    plain = hs.measure_predictions(scores, labels, loss=loss)
    with free_memory(0):
        mapped = hs.measure_predictions(scores, labels, loss=loss)
    assert len(plain.settings["notices"]) == len(mapped.settings["notices"]) - 1
    assert mapped.consensus.tobytes() == plain.consensus.tobytes()
    assert mapped.table.equals(plain.table)


# --- memory ------------------------------------------------------------------------------------


def test_arrays_lie_in_memory_up_to_half_of_what_is_free():
    for needed, free, where in ((50, 100, None), (51, 100, "files"), (1, 0, "files")):
        with free_memory(free):
            notice = ArrayAllocator(needed).notice
        assert notice is None if where is None else where in notice


BOUNDED = """
import resource, sys, torch
from hardsight.io import memmap
from hardsight.estimation.checkpoint import Checkpoint
from hardsight.measures.held_out import HeldOut

torch.set_num_threads(1)
samples, classes = 15_000, 400
memmap.free_memory = lambda: int(sys.argv[1])
labels = torch.arange(samples) % classes

def filled(record):
    for turn in range(2):
        for rows in torch.arange(samples).chunk(20):
            record.add(rows, torch.full((len(rows), classes), float(turn + 1), dtype=torch.float64), turn)
    record.add_in_sample(torch.arange(samples), torch.ones(1, dtype=torch.float64).expand(samples, classes), 0)
    return record

taken = int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmData"))) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (taken + 40 * 2**20, resource.RLIM_INFINITY))
record = filled(HeldOut(labels, classes, "brier"))
record.merge(filled(HeldOut(labels, classes, "brier")))
for loss in ("log", "brier", "zero-one"):
    record.decompose(loss)
consensus, majority = record.consensus, record.majority
kept = Checkpoint(sys.argv[2], {})
kept.save(record, 4, [])
again = HeldOut(labels, classes, "brier")
kept.restore(again)
assert all(torch.equal(value, again.state()[name]) for name, value in record.state().items())
print("done", float(consensus.sum()), int(record.count.min()))
"""


@pytest.mark.slow
@LINUX
def test_a_record_of_files_takes_no_memory(tmp_path):
    """Two records of 190 MB, every measure of them, and a third that is read from disk, in 40 MB; in memory: none."""
    done = run(BOUNDED, 0, tmp_path / "kept.npz", folder=tmp_path, check=True)
    assert done.stdout.startswith("done")
    assert done.stdout.split()[2] == "4"
    failed = run(BOUNDED, 2**40, tmp_path / "kept.npz", folder=tmp_path, stderr=subprocess.PIPE)
    assert failed.returncode
    assert "can't allocate memory" in failed.stderr


def test_a_checkpoint_is_read_piece_by_piece(tmp_path):
    labels = torch.arange(20_000) % 20
    record, again = HeldOut(labels, 20), HeldOut(labels, 20)
    record.add(torch.arange(20_000), torch.randn(20_000, 20, dtype=torch.float64, generator=torch.Generator()))
    kept = Checkpoint(tmp_path / "kept.npz", {})
    kept.save(record, 1, [])
    tracemalloc.start()
    kept.restore(again)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # An array is 3.2 MB; two pieces of 1 MiB are held, one as it is stored and one in the file's buffer.
    assert peak < 2.5 * 2**20
    assert bytes_of(again) == bytes_of(record)


@pytest.mark.parametrize("odd", [None, np.zeros((2, 6)), np.zeros((6, 3)), np.zeros((6, 2), dtype=np.int64)])
def test_what_was_saved_of_other_arrays_is_refused(tmp_path, odd):
    record = HeldOut(torch.arange(6) % 2, 2)
    kept = Checkpoint(tmp_path / "kept.npz", {})
    kept.save(record, 1, [])
    with np.load(kept.path) as archive:
        arrays = {name: archive[name] for name in archive.files if name != "vote/mean"}
    np.savez(kept.path, **arrays | ({} if odd is None else {"vote/mean": odd}))
    with pytest.raises(InputError, match="cannot be read as an unfinished run"):
        kept.restore(record)
    np.savez(kept.path, **arrays | {"vote/mean": np.ones((6, 2))})
    assert kept.restore(record) == (1, [], None)
    assert record.moments["vote"].mean.eq(1).all()


@pytest.mark.parametrize("classes, in_sample", [(None, None), (None, "squared"), (5, None), (5, "log")])
def test_what_is_asked_for_is_what_is_needed(monkeypatch, classes, in_sample):
    asked = []
    made = memmap._map_zeros
    monkeypatch.setattr(memmap, "_map_zeros", lambda size: asked.append(size) or made(size))
    labels = torch.zeros(7, dtype=torch.float64 if classes is None else torch.int64)
    needed = 8 * 7 * (12 if classes is None else 4 * classes + 33) + (0 if in_sample is None else 48 * 7)
    with free_memory(2 * needed):
        assert HeldOut(labels, classes, in_sample).notice is None
    with free_memory(2 * needed - 1):
        assert HeldOut(labels, classes, in_sample).notice is not None
    assert sum(asked) == needed


def test_free_memory_is_a_number_of_bytes():
    assert 2**20 < memmap.free_memory() <= 2**40


# --- files -------------------------------------------------------------------------------------


@pytest.mark.slow
@LINUX
def test_nothing_is_left_of_a_run_that_is_killed(tmp_path):
    code = """
    import time, torch
    from hardsight.io import memmap
    from hardsight.measures.held_out import HeldOut
    memmap.free_memory = lambda: 0
    record = HeldOut(torch.zeros(10, dtype=torch.int64), 3)
    record.add(torch.arange(10), torch.zeros(10, 3, dtype=torch.float64))
    print(sum("(deleted)" in line and "TEMPORARY" in line for line in open("/proc/self/maps")), flush=True)
    time.sleep(60)
    """
    process = run(code, folder=tmp_path, start=subprocess.Popen)
    maps = int(process.stdout.readline())
    assert maps == 3 * 12 + 1
    assert not list(tmp_path.iterdir())
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not list(tmp_path.iterdir())


def test_files_go_with_their_arrays(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(memmap, "free_memory", lambda: 0)

    def count_maps():
        return Path("/proc/self/maps").read_text().count(str(tmp_path))

    if not Path("/proc/self/maps").exists():
        pytest.skip("looks into /proc")
    array = ArrayAllocator(800).zeros(10, 10, dtype=torch.float64)
    assert count_maps() == 1
    assert array.eq(0).all()
    part = array.numpy()[3]
    del array
    part[:] = 1
    assert count_maps() == 1
    del part
    assert count_maps() == 0


def room(free):
    return lambda _: shutil._ntuple_diskusage(free, 0, free)


def test_too_little_room_on_the_disk_is_said_before_any_training(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    X, y = load_wine(return_X_y=True)
    needed = 8 * 178 * (4 * 3 + 33)
    with free_memory(needed):
        monkeypatch.setattr(shutil, "disk_usage", room(needed))
        hs.measure(X, y, learner="ridge", repeats=2)
        monkeypatch.setattr(shutil, "disk_usage", room(needed - 1))
        learner = hs.Ridge()
        monkeypatch.setattr(type(learner), "fit_predict", lambda *_: pytest.fail("a model was trained"))
        with pytest.raises(InputError) as caught:
            hs.measure(X, y, learner=learner, repeats=2)
    assert str(caught.value) == (
        f"the data kept per sample ({needed / 2**30:.3g} GiB) needs more than half of the free memory, and the folder for "
        f"temporary files, {tmp_path}, has {(needed - 1) / 2**30:.3g} GiB free: set TMPDIR to a folder on a disk with more "
        "space, free some memory, or measure fewer samples"
    )


@pytest.mark.parametrize("missing", [True, False], ids=["no folder", "full or over the quota"])
def test_a_folder_that_takes_no_files(tmp_path, monkeypatch, missing):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone" if missing else tmp_path))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with free_memory(0), pytest.raises(InputError, match=r"(No such file|No space left on device).*set TMPDIR"):
        HeldOut(torch.zeros(10, dtype=torch.int64), 3)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/shm").exists(), reason="looks at Linux' folder in memory")
def test_a_temporary_folder_that_is_memory_itself(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/dev/shm")
    with free_memory(100):
        assert ArrayAllocator(51).notice.endswith(
            "temporary files in /dev/shm. That folder is in memory, too: set TMPDIR to a folder on a disk."
        )
        with pytest.raises(InputError, match=r"/dev/shm, has .* GiB free: set TMPDIR to a folder on a disk"):
            ArrayAllocator(101)
