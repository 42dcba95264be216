"""The record: ids and never positions; cut, merged, stopped and resumed as one likes; and errors that say the fix."""

import copy
import json
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_wine

import hardsight as hs
from hardsight.measures.measure import Measure

N, C, VIEWS = 12, 3, 5
ORDERED = ["forgetting", "first-learned"]
FREE = [name for name, row in hs.MEASURES.items() if not any(column.accumulator.ordered for column in row.score.columns)]


def world(seed=0):
    """All views of all samples: what any record of them must tell, however it came in."""
    rng = np.random.default_rng(seed)
    return {
        "labels": rng.integers(0, C, N),
        "logits": rng.normal(size=(VIEWS, N, C)),
        "features": rng.normal(size=(VIEWS, N, 2)),
        "input_gradients": rng.normal(size=(VIEWS, N, 3)),
        "loss_gradients": rng.normal(size=(VIEWS, N, 3)),
        "rate": 0.1,
    }


WORLD = world()
NAMES = np.array([f"s{i * 5 % N}" for i in range(N)])


def put(record, view, at, ids=None, held_out=False, shift=0.0):
    """One batch: the samples ``at`` of a view."""
    at = np.asarray(at)
    record.add(
        view=view, ids=at if ids is None else ids[at], logits=WORLD["logits"][view, at] + shift * at[:, None] * np.arange(C),
        labels=WORLD["labels"][at], features=WORLD["features"][view, at], rate=WORLD["rate"],
        input_gradients=WORLD["input_gradients"][view, at], loss_gradients=WORLD["loss_gradients"][view, at],
        held_out=held_out,
    )  # fmt: skip


def straight(ids=None, measures=None, views=range(VIEWS)):
    """The whole world, in order, in whole views."""
    record = hs.Record(measures)
    for view in views:
        put(record, view, np.arange(N), ids)
        put(record, view, np.arange(N), ids, held_out=True, shift=0.1)
    return record


WHOLE = straight().table


def assert_same(found, expected, **close):
    pd.testing.assert_frame_equal(found, expected, **(close or {"check_exact": True}))


CLOSE = {"rtol": 1e-12, "atol": 1e-12}


# --- ids, never positions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", [
    NAMES, np.arange(N) * 10**15 - 10**16, np.arange(N)[::-1] * 3,
    np.where(np.arange(N) % 2, np.arange(N), np.arange(N) - 2**60),
], ids=["names", "huge", "gaps", "mixed"])  # fmt: skip
def test_any_ids(ids):
    table = straight(ids).table
    assert table.index.tolist() == sorted(ids.tolist())
    sample_wise = [name for name in WHOLE if name != "self-supervised-prototype"]
    assert_same(table.loc[ids, sample_wise].reset_index(drop=True), WHOLE[sample_wise].reset_index(drop=True), **CLOSE)


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor, pd.Series, lambda ids: np.array(ids, dtype=np.int16)])
def test_ids_of_any_type(kind):
    record = hs.Record(["loss"])
    record.add(view=0, ids=kind([3, 1]), logits=[[0.0, 1.0], [0.0, 0.0]], labels=[0, 0])
    assert record.measure("loss").index.tolist() == [1, 3]
    assert record.ids.dtype == np.int64


def test_series_are_by_id_ascending():
    record = straight(NAMES)
    assert record.ids.tolist() == sorted(NAMES)
    assert record.labels.to_dict() == dict(zip(NAMES, WORLD["labels"], strict=True))
    loss = record.measure("loss")
    assert (loss.index.name, loss.name, loss.dtype) == ("id", "loss", np.float64)
    assert len(record) == N
    assert repr(record) == "Record: 12 samples, 5 training views, 5 held-out views"


def test_many_more_samples_than_at_first():
    record = hs.Record(["loss", "forgetting"])
    n = 5000
    for start in (0, 1, 1500, 1501):
        stop = {0: 1, 1: 1500, 1500: 1501, 1501: n}[start]
        z = torch.zeros(stop - start, 2, dtype=torch.float64)
        z[:, 0] = torch.arange(start, stop).double() / n
        record.add(view=0, ids=torch.arange(start, stop), logits=z, labels=torch.zeros(stop - start, dtype=torch.int64))
    expected = np.log1p(np.exp(-np.arange(n) / n))
    np.testing.assert_allclose(record.measure("loss"), expected, rtol=1e-12)


def test_samples_may_miss_views():
    record = hs.Record(["loss", "variability", "c-score"])
    record.add(view=0, ids=[1, 2], logits=[[0.0, 0.0], [0.0, 0.0]], labels=[0, 1])
    record.add(view=7, ids=[2], logits=[[1.0, 0.0]], labels=[1])
    record.add(view=7, ids=[3], logits=[[1.0, 0.0]], labels=[1], held_out=True)
    table = record.table
    assert table.isna().to_numpy().tolist() == [[False, True, True], [False, False, True], [True, True, False]]


# --- what is taken in ------------------------------------------------------------------------------------------------


def test_the_caller_s_memory_is_left_alone_and_not_relied_on():
    """Loops reuse their buffers; the record must have read them by then, or copied."""
    buffers = {"logits": torch.randn(4, C, dtype=torch.float64), "labels": torch.zeros(4, dtype=torch.int64),
               "features": torch.randn(4, 2), "input_gradients": torch.randn(4, 3)}  # fmt: skip
    before = {name: value.clone() for name, value in buffers.items()}
    kept, mine = hs.Record(), hs.Record()
    for record, batch in ((kept, before), (mine, buffers)):
        ids = np.arange(4)
        record.add(view=0, ids=ids, rate=0.1, **batch)
        if record is mine:
            for name, value in buffers.items():
                assert torch.equal(value, before[name])
                value.fill_(1)
            ids.fill(9)
        record.add(view=1, ids=[0], logits=before["logits"][:1], labels=[0])
    assert_same(mine.table, kept.table)
    as_numpy = {name: value.numpy().copy() for name, value in before.items()}
    third = hs.Record()
    third.add(view=0, ids=np.arange(4), rate=0.1, **as_numpy)
    for value in as_numpy.values():
        value.fill(1)
    third.add(view=1, ids=[0], logits=before["logits"][:1], labels=[0])
    assert_same(third.table, kept.table)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_lower_precision_is_raised_before_anything_is_computed(dtype):
    z = (torch.randn(6, C, dtype=torch.float64) * 3).to(dtype)
    h = torch.randn(6, 4).to(dtype)
    low, high = hs.Record(), hs.Record()
    y = torch.arange(6) % C
    low.add(view=0, ids=range_of(6), logits=z.requires_grad_(), labels=y.int(), features=h)
    high.add(view=0, ids=range_of(6), logits=z.detach().double(), labels=y, features=h.float())
    assert_same(low.table, high.table)
    assert z.grad is None


def range_of(n):
    return list(range(n))


def test_nothing_of_the_graph_is_kept():
    z = torch.randn(3, C, requires_grad=True)
    record = hs.Record()
    record.add(view=0, ids=[1, 2, 3], logits=z * 2, labels=[0, 1, 2])
    assert not any(isinstance(value, torch.Tensor) and value.requires_grad for value in record.state_dict().values())


def test_an_empty_batch_is_nothing():
    record = hs.Record()
    record.add(view=0, ids=[], logits=np.zeros((0, 3)), labels=np.zeros(0, dtype=int))
    assert (len(record), record.table.shape) == (0, (0, 0))


def test_features_may_come_with_some_views_only():
    record = hs.Record()
    for view in range(VIEWS):
        extra = {"features": WORLD["features"][view]} if view in (1, 3) else {}
        record.add(view=view, ids=range_of(N), logits=WORLD["logits"][view], labels=WORLD["labels"], **extra)
    only = hs.Record()
    for view in (1, 3):
        only.add(view=view, ids=range_of(N), logits=WORLD["logits"][view], labels=WORLD["labels"],
                 features=WORLD["features"][view])  # fmt: skip
    assert_same(record.table[["grand", "prototypicality"]], only.table[["grand", "prototypicality"]])
    assert_same(record.table[["loss"]], WHOLE[["loss"]], **CLOSE)


def test_features_may_come_with_some_batches_of_a_view_only():
    record = hs.Record()
    for at, given_too in (([0, 1], True), ([2, 3], False), ([4, 5], True)):
        extra = {"features": WORLD["features"][0, at]} if given_too else {}
        record.add(view=0, ids=at, logits=WORLD["logits"][0, at], labels=WORLD["labels"][at], **extra)
    only = hs.Record()
    put(only, 0, [0, 1, 4, 5])
    assert record.measure("grand").isna().tolist() == [False, False, True, True, False, False]
    assert np.array_equal(record.measure("grand").dropna(), only.measure("grand"))
    assert record.measure("loss").notna().all()


def test_only_what_is_asked_for_is_kept():
    record = straight(measures=["loss", "aum"])
    assert record.table.columns.tolist() == ["loss", "aum"]
    kept = [name for name in record.state_dict() if name.startswith("training/")]
    assert sorted(kept) == ["training/mean/count", "training/mean/mean", "training/seen/first", "training/seen/last"]
    assert record.state_dict()["training/mean/mean"].shape == (N, 2)
    assert_same(record.table, WHOLE[["loss", "aum"]])
    with pytest.raises(hs.InputError, match=r"does not keep what entropy needs.*hs.Record\(\[…, 'entropy'\]\)"):
        record.measure("entropy")


def test_which_views_are_read():
    record = straight()
    by_default, training, held_out = (record.measure("loss", held_out=kind) for kind in (None, False, True))
    assert by_default.equals(training)
    assert not by_default.equals(held_out)
    assert record.measure("self-confidence").to_numpy() == pytest.approx(
        record.measure("confidence", held_out=True).to_numpy()
    )
    only = hs.Record()
    put(only, 0, range_of(N), held_out=True, shift=0.1)
    assert only.measure("loss").equals(only.measure("loss", held_out=True))
    with pytest.raises(hs.InputError, match=r"loss needs training views, of which there are none"):
        only.measure("loss", held_out=False)
    with pytest.raises(hs.InputError, match="forgetting is read from training views: leave held_out out"):
        record.measure("forgetting", held_out=True)


# --- merging ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=10)
@given(seed=st.integers(0, 10_000))
def test_records_of_any_cut_merge_to_the_whole(seed):
    """Samples are split among workers, and each worker's views are cut into stretches; merged in any nesting."""
    rng = np.random.default_rng(seed)
    parts = []
    for share in np.array_split(rng.permutation(N), 3):
        cut = sorted(rng.choice(VIEWS + 1, 2))
        for views in np.split(np.arange(VIEWS), cut):
            part = hs.Record()
            for view in views:
                put(part, int(view), rng.permutation(share))
                put(part, int(view), share, held_out=True, shift=0.1)
            parts.append(part)
    left, right = copy.deepcopy(parts), copy.deepcopy(parts)
    while len(left) > 1:
        # Neighbours only: stretches in between would be missing, and then follow.
        at = rng.integers(len(left) - 1)
        left[at].merge(left.pop(at + 1))
    assert_same(left[0].table, WHOLE, **CLOSE)
    last = right.pop()
    for part in reversed(right):
        last.merge(part)
    assert_same(last.table, WHOLE, **CLOSE)


def test_later_views_may_take_in_earlier_ones():
    early, late = straight(views=range(2)), straight(views=range(2, VIEWS))
    late.merge(early)
    assert_same(late.table, WHOLE, **CLOSE)
    put(late, VIEWS - 1, [0], ids=np.array([N]))
    with pytest.raises(hs.InputError, match="comes twice in view 4"):
        put(late, VIEWS - 1, [3])


def test_merging_leaves_the_other_alone():
    early, late = straight(views=range(2)), straight(views=range(2, VIEWS))
    before = late.table
    early.merge(late)
    assert_same(late.table, before)
    put(early, 4, [0], ids=np.array([77]))
    assert_same(late.table, before)


def test_workers_whose_samples_change_every_epoch_merge_after_every_epoch():
    """As torch's DistributedSampler deals: new shares every epoch, padded to equal size."""
    rng = np.random.default_rng(1)
    main = hs.Record(repeated="skip")
    for view in range(VIEWS):
        order = rng.permutation(N)
        shares = np.resize(order, 15).reshape(3, 5)
        for share in shares:
            worker = hs.Record(repeated="skip")
            put(worker, view, share)
            put(worker, view, share, held_out=True, shift=0.1)
            main.merge(worker)
    assert_same(main.table, WHOLE, **CLOSE)


def test_members_dealt_out_to_workers_merge_where_order_does_not_matter():
    one, two = straight(measures=FREE, views=(0, 2, 4)), straight(measures=FREE, views=(1, 3))
    one.merge(two)
    assert_same(one.table, WHOLE[FREE], **CLOSE)


def test_interleaved_views_are_refused_where_order_matters():
    one, two = straight(NAMES, views=(0, 2, 4)), straight(NAMES, views=(1, 3))
    before = one.table
    with pytest.raises(
        hs.InputError, match=r"views 0 to 4 of id 's0' here and 1 to 3 there are interleaved, or the same: merge"
    ):
        one.merge(two)
    assert_same(one.table, before)


def test_a_record_is_not_merged_twice():
    one, two = straight(measures=["loss"]), straight(measures=["loss"])
    with pytest.raises(hs.InputError, match="or the same"):
        one.merge(two)
    with pytest.raises(hs.InputError, match="or the same"):
        one.merge(one)


def test_records_that_do_not_fit_are_not_merged():
    one = straight(measures=["loss"])
    with pytest.raises(hs.InputError, match="different measures"):
        one.merge(hs.Record(["aum"]))
    with pytest.raises(hs.InputError, match="ids have been integers so far, now they are strings"):
        one.merge(straight(NAMES, ["loss"]))
    other = hs.Record(["loss"])
    other.add(view=9, ids=[0], logits=[[0.0, 1.0]], labels=[0])
    with pytest.raises(hs.InputError, match="records of 3 and of 2 classes"):
        one.merge(other)
    flipped = hs.Record(["loss"])
    flipped.add(view=9, ids=[2], logits=[[0.0, 1.0, 2.0]], labels=[(WORLD["labels"][2] + 1) % C])
    with pytest.raises(hs.InputError, match="id 2 has the label"):
        one.merge(flipped)
    assert_same(one.table, WHOLE[["loss"]])


def test_merging_with_nothing():
    empty = hs.Record()
    empty.merge(straight())
    assert_same(empty.table, WHOLE)
    empty.merge(hs.Record())
    assert_same(empty.table, WHOLE)


# --- order -----------------------------------------------------------------------------------------------------------


def test_only_some_measures_depend_on_the_order_of_views():
    backwards = hs.Record()
    for number, view in enumerate(reversed(range(VIEWS))):
        for held_out in (False, True):
            z = WORLD["logits"][view] + 0.1 * held_out * np.arange(N)[:, None] * np.arange(C)
            backwards.add(view=number, ids=range_of(N), logits=z, labels=WORLD["labels"], held_out=held_out, rate=0.1,
                          features=WORLD["features"][view], input_gradients=WORLD["input_gradients"][view])  # fmt: skip
    table = backwards.table
    free = [name for name in FREE if name in table]
    assert_same(table[free], WHOLE[free], **CLOSE)
    assert not np.allclose(table[ORDERED], WHOLE[ORDERED])


# --- saving ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", [None, NAMES], ids=["numbers", "names"])
@pytest.mark.parametrize("carry", ["file", "state", "pickle", "copy"])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path, ids, carry):
    record = straight(ids, views=range(2))
    put(record, 2, [4, 2], ids)
    if carry == "file":
        record.save(tmp_path / "record.npz")
        again = hs.Record.load(tmp_path / "record.npz")
    elif carry == "state":
        again = hs.Record()
        again.load_state_dict(record.state_dict())
    else:
        again = pickle.loads(pickle.dumps(record)) if carry == "pickle" else copy.deepcopy(record)
    assert_same(again.table, record.table)
    for each in (record, again):
        put(each, 2, [0, 11], ids)
        with pytest.raises(hs.InputError, match="comes twice"):
            put(each, 2, [4], ids)
        with pytest.raises(hs.InputError, match="ascending order"):
            put(each, 1, [4], ids)
        put(each, 3, range_of(N), ids)
        put(each, 3, range_of(N), ids, held_out=True)
    assert_same(again.table, record.table)


def test_a_state_is_a_copy():
    record = straight(views=range(2))
    state = record.state_dict()
    before = record.table
    put(record, 3, range_of(N))
    old = hs.Record()
    old.load_state_dict(state)
    assert_same(old.table, before)
    put(old, 3, range_of(N))
    assert_same(hs_loaded(state), before)


def hs_loaded(state):
    record = hs.Record()
    record.load_state_dict(state)
    return record.table


def test_a_state_goes_into_a_torch_checkpoint(tmp_path):
    record = straight(NAMES)
    torch.save({"record": record.state_dict()}, tmp_path / "checkpoint.pt")
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["record"]
    assert_same(hs_loaded(state), record.table)


def test_saved_records_say_what_they_kept(tmp_path):
    straight(measures=["aum", "forgetting"]).save(tmp_path / "r")
    record = hs.Record.load(tmp_path / "r")
    assert list(record.measures) == ["aum", "forgetting"]
    with pytest.raises(hs.InputError, match="the record holds other measures: make this one with"):
        hs.Record().load_state_dict(record.state_dict())


def test_rows_of_one_s_own_are_given_again(tmp_path):
    mine = Measure("mine", "", "", "", "", hs.MEASURES["loss"].score)
    straight(measures=[mine]).save(tmp_path / "r")
    with pytest.raises(hs.InputError, match="no measure is called 'mine'"):
        hs.Record.load(tmp_path / "r")
    assert np.array_equal(hs.Record.load(tmp_path / "r", measures=[mine]).measure("mine"), WHOLE["loss"])


def test_an_empty_record_is_saved_too(tmp_path):
    hs.Record().save(tmp_path / "r.npz")
    assert len(hs.Record.load(tmp_path / "r.npz")) == 0


def test_a_file_is_whole_or_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "record.npz"
    straight(views=range(2)).save(path)
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(hs.InputError, match="No space left on device"):
        straight().save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["record.npz"]


def test_files_that_are_no_records(tmp_path):
    with pytest.raises(hs.InputError, match=r"no file at .*: give one that record.save wrote"):
        hs.Record.load(tmp_path / "none.npz")
    for content in (b"", b"PK\x03\x04 nothing", b"id,loss\n1,2\n"):
        (tmp_path / "odd").write_bytes(content)
        with pytest.raises(hs.InputError, match="is not a readable record"):
            hs.Record.load(tmp_path / "odd")
    with (tmp_path / "other.npz").open("wb") as file:
        np.savez(file, about=np.frombuffer(b'{"measures": ["loss"]}', dtype=np.uint8))
    with pytest.raises(hs.InputError, match="not a state of a record"):
        hs.Record.load(tmp_path / "other.npz")
    straight().save(tmp_path / "cut.npz")
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(hs.InputError, match="is not a readable record"):
        hs.Record.load(tmp_path / "cut.npz")


@pytest.mark.parametrize(("change", "message"), [
    ({"schema": 99}, r"newer hardsight \(schema 99\)"),
    ({"columns": {}}, "not a state of a record"),
    ({"kind": "str", "ids": None}, "not a state of a record|ids must be"),
])  # fmt: skip
def test_states_of_other_versions(change, message):
    state = straight().state_dict()
    state["about"] = json.dumps(json.loads(state["about"]) | change)
    with pytest.raises(hs.InputError, match=message):
        hs.Record().load_state_dict(state)


def test_columns_of_another_version():
    state = straight().state_dict()
    about = json.loads(state["about"])
    about["columns"]["training/mean"].pop()
    with pytest.raises(hs.InputError, match="another version of hardsight"):
        hs.Record().load_state_dict(state | {"about": json.dumps(about)})


# --- refusals --------------------------------------------------------------------------------------------------------

GOOD = {"view": 3, "ids": [5, 6], "logits": [[0.0, 1.0], [2.0, 0.5]], "labels": [0, 1]}


def half_known():
    record = hs.Record()
    record.add(**GOOD)
    return record


@pytest.mark.parametrize(("change", "message"), [
    ({"view": 3}, r"id 5 comes twice in view 3: give every sample once per view, .* hs.Record\(repeated=\"skip\"\)"),
    ({"view": 4, "ids": [8, 8]}, "id 8 comes twice in view 4"),
    ({"view": 2, "ids": [9, 6]}, "id 6 comes in view 2 after its view 3: add the views of a sample in ascending order"),
    ({"view": 4, "labels": [0, 0]}, "id 6 has the label 0 and had 1 before"),
    ({"view": 4, "logits": [[0.0, np.nan], [0.0, 1.0]]}, "logits of id 5 are not finite"),
    ({"view": 4, "logits": [[0.0, 1.0], [-np.inf, 1.0]]}, "logits of id 6 are not finite"),
    ({"view": 4, "logits": [[0.0, 1.0, 2.0]] * 2}, "logits have 3 classes, so far they had 2"),
    ({"view": 4, "logits": [0.0, 1.0]}, r"logits must have the shape \(batch, class\).*torch.stack"),
    ({"view": 4, "logits": [[0.0], [1.0]]}, "2 classes or more"),
    ({"view": 4, "logits": [[0.0, 1.0]]}, r"must have one row per sample, 2 as there are ids. Got the shape \(1, 2\)"),
    ({"view": 4, "logits": "ab"}, "logits must be a tensor or an array of numbers. Got str"),
    ({"view": 4, "logits": [[True, False]] * 2}, "logits must be real numbers. Got bool"),
    ({"view": 4, "labels": [0, 2]}, "label 2 of id 6 is none of the 2 classes"),
    ({"view": 4, "labels": [-1, 1]}, "label -1 of id 5"),
    ({"view": 4, "labels": [0.0, 1.0]}, "labels must be class codes from 0.*float64"),
    ({"view": 4, "labels": [[1, 0], [0, 1]]}, r"one-hot rows become codes by labels.argmax\(1\)"),
    ({"view": 4, "labels": ["a", "b"]}, "labels must be a tensor or an array of numbers. Got list"),
    ({"view": 4, "ids": ["5", "6"]}, "ids have been integers so far, now they are strings"),
    ({"view": 4, "ids": [5, "6"]}, "ids must be integers or strings, all of one kind. Got int, str"),
    ({"view": 4, "ids": [5.0, 6.0]}, "ids must be integers or strings, all of one kind. Got float"),
    ({"view": 4, "ids": [True, False]}, "Got bool"),
    ({"view": 4, "ids": [2**63, 1]}, "an id is beyond 64 bits"),
    ({"view": 4, "ids": np.array([[5, 6]])}, r"ids must be one-dimensional. Got the shape \(1, 2\)"),
    ({"view": 4, "ids": 5}, "ids must be an array, a tensor or a list. Got int"),
    ({"view": 4.5}, "view must be an integer, such as the epoch. Got 4.5"),
    ({"view": 4, "features": [1.0, 2.0]}, r"features must have the shape \(batch, …\)"),
    ({"view": 4, "features": [[1.0], [np.inf]]}, "features of id 6 are not finite"),
    ({"view": 4, "rate": -1.0}, "rate must be finite and not negative"),
    ({"view": 4, "rate": [0.1]}, "rate must be a number, or one per sample"),
    ({"view": 4, "held_out": True, "second_split": True}, "exclude each other"),
])  # fmt: skip
def test_what_cannot_be_recorded_changes_nothing(change, message):
    record = half_known()
    before = record.table
    with pytest.raises(hs.InputError, match=message):
        record.add(**GOOD | change)
    assert_same(record.table, before)
    assert record.ids.tolist() == [5, 6]
    record.add(**GOOD | {"view": 4})


def test_widths_must_stay():
    record = hs.Record()
    record.add(**GOOD, features=[[1.0], [2.0]])
    with pytest.raises(hs.InputError, match="features have 2 values per sample, so far they had 1"):
        record.add(**GOOD | {"view": 4}, features=[[1.0, 2.0]] * 2)


@pytest.mark.parametrize("ids", [[0, 1, 2], ["a", "b", "c"]])
def test_repeated_samples_are_skipped_on_request(ids, tmp_path):
    once, twice = hs.Record(), hs.Record(repeated="skip")
    z, y = torch.tensor([[0.0, 1.0], [2.0, 0.5], [9.0, 0.0]]), torch.tensor([0, 1, 1])
    for view in range(2):
        once.add(view=view, ids=ids, logits=z + view, labels=y)
        # Within a batch the first counts, and across batches; the label of what is skipped does not matter.
        twice.add(view=view, ids=[*ids[:2], ids[0]], logits=torch.cat([z[:2], z[:1] * 9]) + view, labels=y[[0, 1, 1]])
        twice.add(view=view, ids=ids, logits=z + view, labels=y)
        twice.add(view=view, ids=ids, logits=z + view, labels=y)
    assert_same(twice.table, once.table)
    with pytest.raises(hs.InputError, match="ascending"):
        twice.add(view=0, ids=ids, logits=z, labels=y)
    twice.save(tmp_path / "r.npz")
    assert hs.Record.load(tmp_path / "r.npz").repeated == "skip"


def test_probabilities_are_found_out():
    record = hs.Record()
    p = torch.tensor([[0.2, 0.8], [0.6, 0.4]])
    with pytest.raises(hs.InputError, match=r"logits look like probabilities .* from id 5 on\): .* probabilities.log\(\)"):
        record.add(**GOOD | {"logits": p})
    record.add(**GOOD | {"logits": p.log()})
    assert record.measure("confidence").tolist() == pytest.approx([0.8, 0.6])
    shifted = hs.Record()
    shifted.add(**GOOD | {"logits": p - 1})
    assert shifted.measure("aum")[5] == pytest.approx(0.6)


def test_probabilities_are_found_out_one_at_a_time():
    record = hs.Record()
    record.add(view=0, ids=[1], logits=[[0.3, 0.7]], labels=[0])
    with pytest.raises(hs.InputError, match="look like probabilities"):
        record.add(view=0, ids=[2], logits=[[0.6, 0.4]], labels=[0])


def test_logits_that_only_happen_to_look_so_are_taken():
    record = hs.Record()
    record.add(view=0, ids=[1, 2], logits=[[1.0, 0.0], [0.0, 1.0]], labels=[0, 0])
    record.add(view=1, ids=[1, 2], logits=[[0.3, 0.7], [3.0, -2.0]], labels=[0, 0])
    record.add(view=2, ids=[1, 2], logits=[[0.3, 0.7], [0.6, 0.4]], labels=[0, 0])
    assert record.measure("aum").tolist() == pytest.approx([(-1 + 0.4 + 0.4) / 3, (1 - 5 - 0.2) / 3])


@pytest.mark.parametrize(("name", "message"), [
    ("cumulative-input-gradient", r"needs loss_gradients, which no view had: give record.add\(…, loss_gradients=g"),
    ("memory-perturbation", "memory-perturbation needs features"),
    ("vog", r"vog needs input_gradients, which no view had: give record.add\(…, input_gradients=g"),
    ("self-influence", "self-influence needs features and rate, which no view had: .*learning rate of the step"),
    ("grand", "grand needs features"),
    ("c-score", r"c-score needs held-out views, of which there are none: .*held_out=True\)"),
    ("memorization", "memorization needs held-out views"),
    ("second-split-forgetting", "second_split=True"),
    ("variability", "no sample has what variability needs, 2 or more views of it"),
    ("forgeting", "no measure is called 'forgeting': did you mean 'forgetting'?"),
])  # fmt: skip
def test_what_cannot_be_measured_says_why(name, message):
    with pytest.raises(hs.InputError, match=message):
        half_known().measure(name)


def test_the_table_has_what_can_be_told():
    assert half_known().table.columns.tolist() == [
        "loss", "confidence", "correctness", "data-iq-aleatoric", "el2n", "el2n-squared", "aum", "entropy",
        "least-confidence", "forgetting", "first-learned", "cumulative-loss",
    ]  # fmt: skip


def test_arguments_of_a_record():
    with pytest.raises(hs.InputError, match="no measure is called 'los': did you mean 'loss'"):
        hs.Record(["los"])
    with pytest.raises(hs.InputError, match="no measure is called 'xyz': hardsight measures lists them"):
        hs.Record(["xyz"])
    with pytest.raises(hs.InputError, match="measures is empty"):
        hs.Record([])
    with pytest.raises(hs.InputError, match='repeated must be "error" or "skip"'):
        hs.Record(repeated="drop")
    assert list(hs.Record("aum").measures) == ["aum"]


def test_memory_does_not_grow_with_the_views():
    def bytes_of(views):
        state = straight(views=views).state_dict()
        return sum(value.nbytes for value in state.values() if isinstance(value, torch.Tensor))

    assert bytes_of(range(5)) == bytes_of(range(2))


# --- members of an ensemble ------------------------------------------------------------------------------------------


def test_members_have_no_order():
    record = hs.Record(members=True)
    assert record.ordered == []
    assert list(record.measures) == FREE
    with pytest.raises(hs.InputError, match="no order, which forgetting would need"):
        hs.Record(["loss", "forgetting"], members=True)


def wine(**how):
    X, y = load_wine(return_X_y=True)
    ids = [f"w{(i * 7) % 178:03d}" for i in range(178)]
    return hs.measure(X, np.array(["a", "b", "c"])[y], ids=ids, folds=3, repeats=3, **how)


def test_a_record_takes_in_an_ensemble():
    """Every model's view, held out and in sample; both modules compute the same number."""
    record = hs.Record(members=True)
    d = wine(learner="network", estimate=hs.Estimate(adjusted=True), record=record)
    held_out = record.measure("loss", held_out=True)
    assert repr(record) == "Record: 178 samples, 9 training views, 9 held-out views"
    np.testing.assert_allclose(held_out[d.ids], d.error, rtol=1e-12)
    np.testing.assert_array_equal(record.labels[d.ids], d.labels)
    assert record.measure("loss").mean() < 0.7 * held_out.mean()
    right = 1 - record.measure("c-score")
    np.testing.assert_allclose(record.measure("memorization"), 1 - record.measure("correctness") - right, atol=1e-12)
    assert set(record.measure("c-score").round(6)) <= {0, 0.333333, 0.666667, 1}


def test_a_record_changes_no_byte_of_the_result():
    one, two = wine(learner="ridge"), wine(learner="ridge", record=hs.Record(members=True))
    assert_same(one.table, two.table)


def test_records_that_a_run_cannot_fill(tmp_path):
    with pytest.raises(hs.InputError, match=r"forgetting.*no order: pass record=hs.Record\(members=True\)"):
        wine(record=hs.Record())
    with pytest.raises(hs.InputError, match="not part of a checkpoint"):
        wine(record=hs.Record(members=True), execution=hs.Execution(checkpoint=tmp_path / "c.npz"))
    with pytest.raises(hs.InputError, match="record needs classes"):
        hs.measure(np.random.default_rng(0).normal(size=(30, 2)), np.linspace(0, 1, 30), record=hs.Record(members=True))
    used = hs.Record(members=True)
    wine(learner="ridge", record=used)
    with pytest.raises(hs.InputError, match="start a new Record for another training"):
        wine(learner="ridge", record=used)
