"""Sparse matrices: measured as their dense twins where these are small, and at any size."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier
from support.errors import rejects

import hardsight as hs
from hardsight import Samples
from hardsight.data.sparse import describe_row, to_csr

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, 80)
COUNTS = RNG.poisson(0.3, (80, 12)) + (LABELS[:, None] == 1) * (np.arange(12) < 2)
WITHOUT_LEDGER = {"repeats": 2, "estimate": hs.Estimate(ledger=False, adjusted=False)}
FAST = {"folds": 2, **WITHOUT_LEDGER}


def with_64_bit_indices(dense):
    matrix = sparse.csr_array(dense)
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)
    return matrix


def with_unsorted_and_repeated_entries(dense):
    """Each value in two parts, in reverse order, with zeros between them."""
    row, column = np.nonzero(np.ones(dense.shape))
    values = dense[row, column].astype(float)
    row, column = np.tile(row[::-1], 2), np.tile(column[::-1], 2)
    return sparse.coo_array((np.concatenate([values[::-1] - 1, np.ones(len(values))]), (row, column)), shape=dense.shape)


FORMS = [
    sparse.csr_matrix,
    sparse.csr_array,
    sparse.csc_array,
    sparse.coo_matrix,
    sparse.lil_array,
    sparse.dok_array,
    sparse.bsr_array,
    with_64_bit_indices,
    with_unsorted_and_repeated_entries,
    lambda dense: torch.from_numpy(dense).to_sparse(),
    lambda dense: torch.from_numpy(dense).double().to_sparse_csr(),
    lambda dense: torch.from_numpy(dense).to(torch.bfloat16).to_sparse_csc(),
]


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning", "ignore:Sparse CSC tensor support:UserWarning")
@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_samples_of_its_dense_twin(form):
    samples, dense = Samples.of(form(COUNTS), LABELS), Samples.of(COUNTS, LABELS)
    assert (samples.kind, samples.notices, samples.sparse) == ("array", (), True)
    assert isinstance(samples.features, sparse.csr_array)
    assert samples.features.indices.dtype == samples.features.indptr.dtype == np.int32
    np.testing.assert_array_equal(samples.matrix, dense.matrix)
    np.testing.assert_array_equal(samples.numbers, dense.numbers)
    # The same samples are duplicates of each other.
    sparse_groups, dense_groups = (np.unique(s.fingerprints(), return_inverse=True)[1] for s in (samples, dense))
    np.testing.assert_array_equal(sparse_groups[:, None] == sparse_groups, dense_groups[:, None] == dense_groups)
    rows = np.array([5, 1, 40])
    np.testing.assert_array_equal(samples.take(rows).matrix, dense.take(rows).matrix)
    np.testing.assert_array_equal(samples.take(rows).fingerprints(), samples.fingerprints()[rows])


@pytest.mark.parametrize(
    "learner",
    [
        "logistic",
        "ridge",
        LogisticRegression(),
        make_pipeline(TfidfTransformer(), MultinomialNB()),
        GaussianNB(),
        DecisionTreeClassifier(random_state=0),
    ],
)
def test_measured_as_the_dense_twin(learner):
    result, twin = (hs.measure(X, LABELS, learner=learner, **FAST) for X in (with_64_bit_indices(COUNTS), COUNTS))
    np.testing.assert_allclose(result.error, twin.error, rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("learner", [LogisticRegression(), RandomForestClassifier(10), "logistic", "ridge"])
def test_a_large_matrix_is_measured_without_being_dense(learner, monkeypatch):
    monkeypatch.setattr("hardsight.data.sparse._MAX_DENSE_VALUES", 1000)
    monkeypatch.setattr(sparse.csr_array, "toarray", lambda X: pytest.fail("made dense"))
    X = sparse.random_array((80, 3000), density=0.01, rng=np.random.default_rng(0), format="csc")
    samples = Samples.of(X, LABELS)
    assert samples.matrix.shape == (80, 80)
    assert samples.notices[0].startswith("The sparse matrix of 3,000 columns became 80 numbers per sample (truncated SVD)")
    assert len(hs.measure(samples, learner=learner, **FAST)) == 80


@pytest.mark.slow
def test_forests_out_of_bag_and_networks_read_sparse_matrices():
    for learner in (hs.ForestOOB(RandomForestClassifier(60)), "forest", hs.Network(epochs=2)):
        options = FAST if isinstance(learner, hs.Network) else WITHOUT_LEDGER
        result, twin = (hs.measure(X, LABELS, learner=learner, **options) for X in (with_64_bit_indices(COUNTS), COUNTS))
        np.testing.assert_allclose(result.error, twin.error, rtol=1e-5)


def test_the_numbers_of_a_large_matrix_keep_its_distances(monkeypatch):
    monkeypatch.setattr("hardsight.data.sparse._MAX_DENSE_VALUES", 0)
    X = (RNG.normal(size=(90, 3)) @ RNG.normal(size=(3, 400))) * (RNG.random(400) < 0.5)
    matrix = Samples.of(sparse.csr_array(X), np.arange(90) % 2).matrix
    assert matrix.shape == (90, 90)
    np.testing.assert_allclose(matrix @ matrix.T, X @ X.T, rtol=1e-3, atol=1e-3)


def test_values_that_cannot_be_used_are_named():
    for value in (np.nan, np.inf, -1e39):
        bad = sparse.csr_array(([1.0, value], ([0, 2], [1, 0])), shape=(3, 2))
        rejects(
            rf"sparse X must be finite in float32. Got {re.escape(str(value))} at \[2, 0\] \(and 0 more\)",
            Samples.of,
            bad,
            [0, 1, 0],
        )
    rejects("must hold numbers. Got a sparse matrix of complex128", Samples.of, sparse.csr_array(np.eye(3) * 1j), [0, 1, 0])
    rejects(r"at least one feature. Got shape \(3, 0\)", Samples.of, sparse.csr_array((3, 0)), [0, 1, 0])
    rejects(r"must have the shape .sample, feature.", Samples.of, torch.zeros(3, 2, 2).to_sparse(), [0, 1, 0])
    rejects("3 samples, 2 labels", Samples.of, sparse.eye_array(3), [0, 1])
    rejects("embedding='pixels' is for texts and images", Samples.of, sparse.eye_array(3), [0, 1, 0], embedding="pixels")


def test_one_column_truth_values_and_empty_rows():
    column = sparse.csr_array(np.array([[True], [False], [True], [False]]))
    samples = Samples.of(column, [0, 1, 0, 1])
    assert samples.matrix.ravel().tolist() == [1, 0, 1, 0]
    assert samples.fingerprints()[1] == samples.fingerprints()[3]
    zero = Samples.of(sparse.csr_array(np.array([[0.0, -0.0], [1, 2]])), [0, 1])
    assert zero.features.nnz == 2


def test_frames_with_sparse_columns():
    frame = pd.DataFrame(COUNTS).astype(pd.SparseDtype("float64", 0.0)).add_prefix("word ")
    frame["flag"] = pd.arrays.SparseArray(COUNTS[:, 0] > 0, fill_value=False)
    dense = frame.sparse.to_dense()
    samples = Samples.of(frame, LABELS)
    np.testing.assert_array_equal(samples.matrix, Samples.of(dense, LABELS).matrix)


def test_the_users_matrix_is_not_changed():
    X = with_unsorted_and_repeated_entries(COUNTS).tocsr()
    X = sparse.csr_array((X.data, X.indices[::1], X.indptr), shape=X.shape)
    before = X.data.copy(), X.indices.copy()
    to_csr(X)
    for array, copy in zip((X.data, X.indices), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_rows_are_shown_by_their_largest_values(tmp_path):
    assert describe_row(to_csr(sparse.csr_array([[0, 0], [0, 3]])), 0) == "all values are 0"
    many = describe_row(to_csr(sparse.csr_array(np.arange(1, 31)[None])), 0)
    assert many.startswith("[29] 30, [28] 29, ")
    assert many.endswith(" and 10 more")
    samples = Samples.of(sparse.csr_array(COUNTS), LABELS)
    d = hs.measure(samples, learner="logistic", **FAST)
    d.report(tmp_path / "report.html", samples)
    row = int(np.argmax(d.error))
    assert describe_row(samples.features, row)[:20] in (tmp_path / "report.html").read_text()
    d.review(tmp_path / "review.html", samples)


def test_faults_of_labels_do_not_hide_those_of_an_embedding():
    X = sparse.random(30, 5, density=0.5, format="csr", random_state=0)
    with pytest.raises(hs.InputError, match=r"(?s)2 faults:.*labels 'label' are 'a'.*embedding must have one row"):
        Samples.of(X, ["a"] * 30, embedding=np.zeros((29, 2)))
