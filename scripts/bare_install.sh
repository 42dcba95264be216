#!/usr/bin/env bash
# A plain `pip install .` without extras must be enough for the command's help and for one measurement.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q -r "$here/requirements/torch.txt"
"$work/venv/bin/python" -m pip install -q "$here"
cd "$work"
venv/bin/hardsight -h
printf 'size,colour,kind\n' >things.csv
for i in $(seq 1 40); do printf '%s,%s,%s\n' "$((i % 7))" "$([ $((i % 3)) = 0 ] && echo red || echo blue)" "$([ $((i % 7)) -gt 3 ] && echo big || echo small)"; done >>things.csv
venv/bin/hardsight measure things.csv --label kind --repeats 2 --quiet --duplicates apart
test -s hardsight-results/difficulty.parquet
test -s hardsight-results/report.html
venv/bin/python - <<'PY'
import sys

import hardsight

d = hardsight.load("hardsight-results/difficulty.parquet")
assert len(d) == 40
assert "torch" not in sys.modules
PY
echo "bare install: help, measure and load work"
