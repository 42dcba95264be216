"""What a message advises works when it is followed, in the context in which it is given."""

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from support.errors import rejects
from torch.utils.data import DataLoader, TensorDataset

import hardsight as hs
from hardsight import Samples

N = 12
X = np.arange(2.0 * N).reshape(N, 2) ** 2
Y = ["a", "b"] * (N // 2)
CODES = np.arange(N) % 2
FRAME = pd.DataFrame({"x": X[:, 0], "z": X[:, 1], "y": Y})
ROWS = datasets.Dataset.from_dict({"x": X[:, 0], "y": Y})
ONE_HOT = np.eye(2)[CODES]
DATES = np.array([f"2020-01-{day + 1:02}" for day in range(N)], dtype="datetime64[D]")
SPOILT = ["x", 7, *["y"] * (N - 2)]
PAIRS = TensorDataset(torch.tensor(X), torch.tensor(CODES))

# A call that is refused, what its message advises, and the call that follows the advice.
ADVICE = {
    "dicts": (lambda: Samples.of(FRAME.to_dict("records"), Y), r"pass pandas.DataFrame\(X\)",
              lambda: Samples.of(pd.DataFrame(FRAME.to_dict("records")), "y")),
    "dict": (lambda: Samples.of({"x": X[:, 0]}, Y), r"pass pandas.DataFrame\(X\)",
             lambda: Samples.of(pd.DataFrame({"x": X[:, 0]}), Y)),
    "dates": (lambda: Samples.of(DATES, Y), r"pass pandas.DataFrame\(X\)", lambda: Samples.of(pd.DataFrame(DATES), Y)),
    "durations": (lambda: Samples.of(DATES - DATES[0], Y), r"pass pandas.DataFrame\(X\)",
                  lambda: Samples.of(pd.DataFrame(DATES - DATES[0]), Y)),
    "complex": (lambda: Samples.of(X + 1j, Y), "split it into X.real and X.imag",
                lambda: Samples.of(np.hstack([(X + 1j).real, (X + 1j).imag]), Y)),
    "bytes": (lambda: Samples.of(np.array([b"a c", "ä".encode()] * 6), Y), r"np.char.decode\(X, 'utf-8'\)",
              lambda: Samples.of(np.char.decode(np.array([b"a c", "ä".encode()] * 6), "utf-8"), Y)),
    "mixed texts": (lambda: Samples.of(SPOILT, Y), "convert them to text", lambda: Samples.of([str(v) for v in SPOILT], Y)),
    "loader": (lambda: Samples.of(DataLoader(PAIRS)), "pass its dataset, X.dataset",
               lambda: Samples.of(DataLoader(PAIRS).dataset)),
    "labels twice": (lambda: Samples.of(PAIRS, CODES), "leave y out", lambda: Samples.of(PAIRS)),
    "splits": (lambda: Samples.of(datasets.DatasetDict({"train": ROWS}), "y"), r"pass one of them, as X\['train'\]",
               lambda: Samples.of(datasets.DatasetDict({"train": ROWS})["train"], "y")),
    "column of an array": (lambda: Samples.of(X, "y"), "pass the values", lambda: Samples.of(X, Y)),
    "text of a series": (lambda: Samples.of(pd.Series(Y), CODES, text="y"), "leave it out",
                         lambda: Samples.of(pd.Series(Y), CODES)),
    "no label": (lambda: Samples.of(FRAME), r"name its column \(y, label, --label\)", lambda: Samples.of(FRAME, label="y")),
    "no labels": (lambda: Samples.of(X), r"pass one label per sample \(y=…\)", lambda: Samples.of(X, y=Y)),
    "one-hot array": (lambda: Samples.of(X, ONE_HOT), r"pass y.argmax\(1\)", lambda: Samples.of(X, ONE_HOT.argmax(1))),
    "one-hot tensor": (lambda: Samples.of(X, torch.tensor(ONE_HOT)), r"pass y.argmax\(1\)",
                       lambda: Samples.of(X, torch.tensor(ONE_HOT).argmax(1))),
    "one-hot lists": (lambda: Samples.of(X, ONE_HOT.tolist()), r"pass np.argmax\(y, axis=1\)",
                      lambda: Samples.of(X, np.argmax(ONE_HOT.tolist(), axis=1))),
    "one-hot frame": (lambda: Samples.of(X, pd.get_dummies(pd.Series(Y))), r"\.idxmax\(axis=1\)",
                      lambda: Samples.of(X, pd.get_dummies(pd.Series(Y)).idxmax(axis=1))),
    "dates as labels": (lambda: Samples.of(X, pd.Series(DATES)), r"y.astype\(str\)",
                        lambda: Samples.of(X, pd.Series(DATES).astype(str))),
    "periods as labels": (lambda: Samples.of(X, pd.Series(DATES).dt.to_period("M")), r"y.astype\(str\)",
                          lambda: Samples.of(X, pd.Series(DATES).dt.to_period("D").astype(str))),
    "other bytes": (lambda: Samples.of(X, [b"\xe4", b"\xf6"] * 6), r"value.decode\('latin-1'\) for value in …",
                    lambda: Samples.of(X, [value.decode("latin-1") for value in [b"\xe4", b"\xf6"] * 6])),
    "ids with a fraction": (lambda: Samples.of(X, Y, ids=np.arange(N) / 2), "convert them to text",
                            lambda: Samples.of(X, Y, ids=(np.arange(N) / 2).astype(str))),
    "ids that repeat": (lambda: Samples.of(X, Y, ids=[1] * N), "leave them out", lambda: Samples.of(X, Y)),
    "one group": (lambda: Samples.of(X, Y, groups=[1] * N), "leave the groups out", lambda: Samples.of(X, Y)),
    "text weights": (lambda: Samples.of(X, Y, weights=["0,5"] * N), "write them as numbers, with a decimal point",
                     lambda: Samples.of(X, Y, weights=[float("0,5".replace(",", "."))] * N)),
    "infinite targets": (lambda: Samples.of(X, [np.inf, *range(1, N)]), "leave them out",
                         lambda: Samples.of(X[1:], range(1, N))),
    "words as targets": (lambda: Samples.of(X, [*map(str, range(1, N)), "x"], task="regression"), "task='classification'",
                         lambda: Samples.of(X, [*map(str, range(1, N)), "x"], task="classification")),
    "unknown index": (lambda: Samples.of(FRAME.set_axis(DATES), pd.Series(Y, index=range(5, 5 + N))), r"pass y.to_numpy\(\)",
                      lambda: Samples.of(FRAME.set_axis(DATES), pd.Series(Y, index=range(5, 5 + N)).to_numpy())),
    "samples with roles": (lambda: hs.measure(Samples.of(X, Y), groups=Y), "leave out groups, or pass them where",
                           lambda: hs.measure(Samples.of(X, Y, groups=[f"{y}{row % 4}" for row, y in enumerate(Y)]),
                                              learner="ridge", folds=2, repeats=2)),
    "embedding of numbers": (lambda: Samples.of(X, Y, embedding="tfidf"), "leave it out", lambda: Samples.of(X, Y)),
}  # fmt: skip


@pytest.mark.parametrize(("refused", "advice", "followed"), ADVICE.values(), ids=ADVICE)
def test_what_a_message_advises_is_accepted(refused, advice, followed):
    rejects(advice, refused)
    assert followed()


def test_a_notice_advises_only_options_that_are_there():
    shares = np.full((2, N, 3), 1 / 3)
    d = hs.measure_predictions(shares, ["a", "b", "A "] * (N // 3))
    notices = " ".join(d.settings["notices"])
    assert "differ only in case" in notices
    assert "merge_spellings" not in notices
