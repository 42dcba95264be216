"""Names in any script, and any locale, encoding or time zone: they come back as they were, and no number changes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from support.folders import read_folder

import hardsight as hs
from hardsight.cli import main
from hardsight.cli.output import print_json
from hardsight.difficulty import decisions
from hardsight.weights.file import read_weights

QUICK = ("--quiet", "--repeats", "2", "--no-pilot", "--learner", "logistic")
LABEL, ID = "ярлык", "כינוי"
# Joined, split and combining forms, scripts from right to left, letters without one upper or lower case, marks that are
# not seen, spaces that are no spaces, what csv and spreadsheets mind, and ends of lines that are none.
NAMES = [
    "é", "e\u0301", "\u2126", "\u03a9", "ﬁ", "ß", "ǅ", "ı", "İ", "i\u0307", "ש\u200fלום", "\u202egnp.exe", "ﷺ",
    "日本語", "한국", "🦒", "👩\u200d👩\u200d👧", "\U00013000", "a\u00a0b", "a b", "\u3000x", "zero\u200bwidth",
    "soft\u00adhyphen", "\ufffd", "com,ma", "semi;colon", 'quo"te', "'=1", "=1+1", "@x", "-2", "001", "1e5", "0x10",
    "\u0085nel", "\u2028ls", "\U000e0041",
]  # fmt: skip
CLASSES = ("קטגוריה", "日本 語", "e\u0301 ß")


def run(*arguments):
    ended = CliRunner().invoke(main, [str(a) for a in arguments])
    assert ended.exit_code == 0, ended.output
    return ended


def frame():
    rng = np.random.default_rng(0)
    rows = 60
    which = np.arange(rows) % 3
    x = rng.normal(size=(rows, 3)) + which[:, None]
    ids = NAMES + [f"id {at}ñ" for at in range(rows - len(NAMES))]
    columns = {"größe": x[:, 0], "重さ 🐘": x[:, 1], "e\u0301": x[:, 2]}
    return pd.DataFrame({**columns, LABEL: np.array(CLASSES)[which], ID: ids})


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_names_in_any_script_come_back(tmp_path, ending):
    folder = tmp_path / "öd d" / "עברית 🦒" / "e\u0301—é"
    folder.mkdir(parents=True)
    table, data, out = frame(), folder / f"дані 🦒.{ending}", folder / "résultats"
    table.to_csv(data, index=False) if ending == "csv" else table.to_parquet(data, index=False)
    roles = ("--label", LABEL, "--id", ID)
    summary = json.loads(run("measure", data, *roles, "--out", out, *QUICK, "--json").stdout)
    assert {row["id"] for row in summary["hardest"]} <= set(table[ID])
    assert summary["files"]["difficulty"] == str(out / "difficulty.parquet")
    d = hs.load(out / "difficulty.parquet")
    assert list(d.ids) == list(table[ID])
    assert list(d.label_names(d.labels)) == list(table[LABEL])
    assert d.settings["source"] == data.name

    for name in ("poids ü.csv", "poids ü.parquet"):
        run("weigh", out / "difficulty.parquet", "-o", out / name)
    weights = [read_weights(out / f"poids ü.{kind}", d.ids) for kind in ("csv", "parquet")]
    np.testing.assert_array_equal(*weights)
    np.testing.assert_array_equal(weights[0], hs.weigh(d))

    decided = pd.DataFrame({"id": table[ID], "action": "keep", "label": ""})
    decided.loc[::2, ["action", "label"]] = ["relabel", CLASSES[1]]
    decided.loc[3::4, "action"] = "drop"
    (out / "décisions.csv").write_text(decisions.format_decisions(decided), encoding="utf-8", newline="")
    curated = d.apply(out / "décisions.csv")
    assert list(curated.actions) == list(decided["action"])
    assert list(curated.labels[::2]) == [CLASSES[1]] * 30
    assert list(curated.table.index) == list(table[ID][curated.keep])
    run("weigh", out / "difficulty.parquet", "-o", out / "w.csv", "--decisions", out / "décisions.csv")
    assert (read_weights(out / "w.csv", d.ids) == 0).sum() == 15

    run("report", out / "difficulty.parquet", "-o", out / "rapport.html")
    run("review", out, "--data", data, *roles)
    for page in ("report.html", "rapport.html", "review.html"):
        text = (out / page).read_text(encoding="utf-8")
        assert [name for name in CLASSES if name not in text] == []


# What a shell would hand over, of bytes that are UTF-8 and of bytes that are not.
DRIVER = """
import locale, os, sys
from hardsight.cli import main
locale.setlocale(locale.LC_ALL, "")
def run(*arguments):
    main([os.fsdecode(part) for part in arguments], standalone_mode=False)
data, out = map(os.fsencode, sys.argv[1:])
roles = ["--label".encode(), "ярлык".encode(), b"--id", "כינוי".encode()]
run("measure", data, *roles, "--out", out, *"--quiet --repeats 2 --no-pilot --learner logistic".split())
run("weigh", out + b"/difficulty.parquet", "-o", out + b"/w.csv")
run("weigh", out + b"/difficulty.parquet", "-o", out + b"/w.parquet")
more = "--no-effect --no-dynamics --quiet".split()
run("explain", data, *roles, "--difficulty", out, "--weights", out + b"/w.csv", "--out", out, *more)
"""
RESULTS = {
    "difficulty.parquet", "difficulty.csv", "report.html", "review.html", "w.csv", "w.parquet", "explanation.json",
    "explanation.html",
}  # fmt: skip
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}


@pytest.fixture
def turkish(tmp_path):
    """Decimals with a comma, and an i without a dot; UTF-8 alone where such a locale cannot be had."""
    made = ["localedef", "-i", "tr_TR", "-f", "UTF-8", tmp_path / "tr_TR.UTF-8"]
    if shutil.which("localedef") and not subprocess.run(made, capture_output=True, check=False).returncode:
        return {"LC_ALL": "tr_TR.UTF-8", "LOCPATH": str(tmp_path), "TZ": "America/St_Johns"}
    return {"LC_ALL": "C.UTF-8", "TZ": "America/St_Johns"}


@pytest.mark.slow
def test_no_locale_no_encoding_no_time_zone_changes_a_byte(tmp_path, turkish):
    # A byte that is no UTF-8, as disks from before it have them.
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 \xff"))
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this disk takes no such name")
    data, found = folder / os.fsdecode(b"d\xfc.csv"), {}
    frame().to_csv(data, index=False)
    (tmp_path / "driver.py").write_text(DRIVER, encoding="utf-8")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHONUTF8", "PYTHONIOENCODING"))}
    for name, surroundings in (("turkish", turkish), ("ascii", ASCII | {"TZ": "Pacific/Kiritimati"})):
        command = [sys.executable, tmp_path / "driver.py", data, folder / name]
        ended = subprocess.run(command, env=kept | surroundings, capture_output=True, check=False)
        assert ended.returncode == 0, ended.stderr.decode(errors="replace")
        found[name] = read_folder(folder / name)
    assert set(found["ascii"]) == RESULTS
    assert found["ascii"] == found["turkish"]
    d = hs.load(folder / "ascii" / "difficulty.parquet")
    assert list(d.ids) == list(frame()[ID])
    assert d.settings["source"] == "d\\xfc.csv"


@pytest.mark.slow
def test_a_terminal_of_ascii_gets_help_and_json(tmp_path):
    code = "from hardsight.cli import main\nmain({}, standalone_mode=False)"
    for command in (["measures", "loss", "--json"], ["bench", "measures", "--help"], ["schemes", "gce", "--json"]):
        ended = subprocess.run(
            [sys.executable, "-c", code.format(command)], env=os.environ | ASCII, capture_output=True, check=True
        )
        text = ended.stdout.decode()
        assert json.loads(text) == json.loads(run(*command).stdout) if "--json" in command else "Usage" in text


def test_json_of_a_path_that_is_no_text(tmp_path, capsys):
    print_json({"path": os.fsdecode(b"caf\xe9"), "name": "é"})
    assert json.loads(capsys.readouterr().out) == {"path": os.fsdecode(b"caf\xe9"), "name": "é"}
