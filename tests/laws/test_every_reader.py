"""Laws of every kind of input: the same samples give the same ids, labels and numbers, in the same order."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from PIL import Image

from hardsight import InputError, Samples, read

N = 12
RNG = np.random.default_rng(0)
# Every number is one of float32, so that every way of writing it down gives it back.
NUMBERS = RNG.normal(size=(N, 3)).astype(np.float32)
IDS = [f"s{row:02d}" for row in RNG.permutation(N)]
LABELS = [["hen", "fox", "elk"][row % 3] for row in range(N)]
COLUMNS = [f"x{column}" for column in range(3)]


class TorchDataset(torch.utils.data.Dataset):
    """Items of numbers and the name of their class."""

    def __init__(self, labels):
        self.labels = labels

    def __len__(self):
        return N

    def __getitem__(self, index):
        return torch.from_numpy(NUMBERS[index]), self.labels[index]


def table(labels):
    frame = pd.DataFrame(NUMBERS, columns=COLUMNS)
    return frame.assign(key=IDS, kind=pd.Series(labels, dtype=object))


def of_columns(X):
    return Samples.of(X, "kind", ids="key")


def read_table(path):
    return read(path, label="kind", id="key")


def from_array(folder, labels):
    return Samples.of(NUMBERS, labels, ids=IDS)


def from_list(folder, labels):
    return Samples.of(NUMBERS.tolist(), labels, ids=IDS)


def from_tensor(folder, labels):
    return Samples.of(torch.from_numpy(NUMBERS), labels, ids=IDS)


def from_frame(folder, labels):
    return of_columns(table(labels))


def from_index(folder, labels):
    return Samples.of(table(labels).set_index("key"), "kind")


def from_arrow(folder, labels):
    return of_columns(pa.Table.from_pandas(table(labels)))


def from_polars(folder, labels):
    return of_columns(pytest.importorskip("polars").from_pandas(table(labels)))


def from_csv(folder, labels):
    table(labels).to_csv(folder / "a.csv", index=False)
    return read_table(folder / "a.csv")


def from_gzip(folder, labels):
    table(labels).to_csv(folder / "a.csv.gz", index=False)
    return read_table(folder / "a.csv.gz")


def from_tsv(folder, labels):
    table(labels).to_csv(folder / "a.tsv", index=False, sep="\t")
    return read_table(folder / "a.tsv")


def from_parquet(folder, labels):
    table(labels).to_parquet(folder / "a.parquet")
    return read_table(folder / "a.parquet")


def from_npz(folder, labels):
    np.savez(folder / "a.npz", X=NUMBERS, kind=np.array([label or "" for label in labels]), key=IDS)
    return read_table(folder / "a.npz")


def from_npy(folder, labels):
    np.save(folder / "a.npy", NUMBERS)
    (folder / "kind.txt").write_text("".join(f"{label or ''}\n" for label in labels))
    (folder / "key.txt").write_text("".join(f"{name}\n" for name in IDS))
    return read(folder / "a.npy", label="kind.txt", id="key.txt")


def from_torch_dataset(folder, labels):
    return Samples.of(TorchDataset(labels), ids=IDS)


def from_hugging_face(folder, labels):
    datasets = pytest.importorskip("datasets")
    return of_columns(datasets.Dataset.from_pandas(table(labels), preserve_index=False))


READERS = [
    from_array, from_list, from_tensor, from_frame, from_index, from_arrow, from_polars, from_csv, from_gzip, from_tsv,
    from_parquet, from_npz, from_npy, from_torch_dataset, from_hugging_face,
]  # fmt: skip
every_reader = pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)


@every_reader
def test_the_same_samples_are_read_alike(reader, tmp_path):
    samples = reader(tmp_path, LABELS)
    assert samples.ids.tolist() == IDS
    assert samples.classes == ("elk", "fox", "hen")
    assert [samples.classes[code] for code in samples.labels] == LABELS
    assert samples.labels.dtype == np.int64
    assert not samples.regression
    assert samples.matrix.dtype == np.float32
    np.testing.assert_array_equal(samples.matrix, NUMBERS)
    assert samples.groups is samples.weights is samples.embedding is None
    assert all(isinstance(notice, str) for notice in samples.notices)


@every_reader
def test_rows_are_taken_in_the_order_that_is_asked_for(reader, tmp_path):
    rows = np.array([7, 0, 3])
    samples = reader(tmp_path, LABELS).take(rows)
    assert samples.ids.tolist() == [IDS[row] for row in rows]
    assert [samples.classes[code] for code in samples.labels] == [LABELS[row] for row in rows]
    np.testing.assert_array_equal(samples.matrix, NUMBERS[rows])


@every_reader
def test_equal_features_have_equal_fingerprints(reader, tmp_path):
    prints = reader(tmp_path, LABELS).fingerprints()
    assert len(set(prints.tolist())) == N
    assert reader(tmp_path, LABELS[::-1]).fingerprints().tolist() == prints.tolist()


@every_reader
def test_a_row_without_a_label_is_left_out(reader, tmp_path):
    samples = reader(tmp_path, [None if row == 5 else label for row, label in enumerate(LABELS)])
    assert samples.ids.tolist() == IDS[:5] + IDS[6:]
    assert [samples.classes[code] for code in samples.labels] == LABELS[:5] + LABELS[6:]
    np.testing.assert_array_equal(samples.matrix, np.delete(NUMBERS, 5, axis=0))
    assert "1 sample has no label" in " ".join(samples.notices)


@every_reader
def test_a_single_class_is_refused(reader, tmp_path):
    with pytest.raises(InputError, match=f"all {N} labels .* are 'hen': at least two classes are needed"):
        reader(tmp_path, ["hen"] * N)


# Folders hold what the other readers cannot: the class is the folder's name, the id the path.


def text_folder(folder: Path) -> Samples:
    for name, label in zip(IDS, LABELS, strict=True):
        (folder / label).mkdir(exist_ok=True)
        (folder / label / f"{name}.txt").write_text(f"the {name} of a {label} at sea")
    return read(folder)


def image_folder(folder: Path) -> Samples:
    for row, (name, label) in enumerate(zip(IDS, LABELS, strict=True)):
        (folder / label).mkdir(exist_ok=True)
        Image.new("RGB", (4, 3), (20 * row, 0, 255)).save(folder / label / f"{name}.png")
    return read(folder)


@pytest.mark.parametrize("reader", [text_folder, image_folder])
def test_folders_are_what_their_files_are_in_memory(reader, tmp_path):
    samples = reader(tmp_path)
    suffix = "txt" if reader is text_folder else "png"
    order = sorted(range(N), key=lambda row: (LABELS[row], IDS[row]))
    assert samples.ids.tolist() == [f"{LABELS[row]}/{IDS[row]}.{suffix}" for row in order]
    assert [samples.classes[code] for code in samples.labels] == [LABELS[row] for row in order]
    if reader is text_folder:
        features = [f"the {IDS[row]} of a {LABELS[row]} at sea" for row in order]
    else:
        features = [Image.new("RGB", (4, 3), (20 * row, 0, 255)) for row in order]
    same = Samples.of(features, [LABELS[row] for row in order])
    np.testing.assert_array_equal(samples.matrix, same.matrix)
    assert samples.kind == same.kind
