"""Files of what a witness says."""

import numpy as np
import pandas as pd
import pytest

from hardsight.data.witness_files import read_witness, read_witnesses
from hardsight.errors import InputError

P = np.array([[0.7, 0.3], [0.2, 0.8]])


@pytest.mark.parametrize("name", ["w.csv", "w.parquet"])
def test_a_table_is_indexed_by_its_ids(tmp_path, name):
    frame = pd.DataFrame({"name": ["07", "08"], "no": [0.7, 0.2], "yes": [0.3, 0.8]})
    path = tmp_path / name
    frame.to_csv(path, index=False) if name.endswith("csv") else frame.to_parquet(path)
    read = read_witness(path, "name")
    assert read.index.tolist() == ["07", "08"]
    np.testing.assert_allclose(read[["no", "yes"]].to_numpy(), P)
    assert read_witness(path, None).index.tolist() == [0, 1]


def test_labels_keep_their_spelling_and_may_be_missing(tmp_path):
    (tmp_path / "w.csv").write_text("id,zero_shot\n1,01\n2,\n3,02\n")
    read = read_witness(tmp_path / "w.csv")
    assert read.index.tolist() == [1, 2, 3]
    assert read["zero_shot"].isna().tolist() == [False, True, False]
    assert read["zero_shot"].iloc[0] == "01"


def test_arrays_are_read_with_and_without_ids(tmp_path):
    np.save(tmp_path / "p.npy", P)
    np.save(tmp_path / "l.npy", np.array(["no", "yes"]))
    np.savez(tmp_path / "p.npz", p=P, ids=np.array(["a", "b"]))
    np.testing.assert_array_equal(read_witness(tmp_path / "p.npy").values, P)
    assert read_witness(tmp_path / "l.npy").tolist() == ["no", "yes"]
    assert read_witness(tmp_path / "p.npz").ids.tolist() == ["a", "b"]


def test_all_files_that_cannot_be_read_are_reported(tmp_path):
    (tmp_path / "empty.csv").touch()
    np.savez(tmp_path / "two.npz", a=P, b=P)
    np.savez(tmp_path / "short.npz", p=P, id=np.array(["a"]))
    places = [tmp_path / name for name in ("none.csv", "empty.csv", "two.npz", "short.npz")]
    with pytest.raises(InputError) as error:
        read_witnesses(places, None)
    for part in ("no file at", "is empty", "in one array", "one row per id"):
        assert part in str(error.value)
    assert read_witnesses([], None) is None
