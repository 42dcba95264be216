#!/usr/bin/env bash
# Wheel and sdist of the last commit, built twice: from two folders, with other file times and another umask, to the same bytes.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
SOURCE_DATE_EPOCH=$(git -C "$here" log -1 --format=%ct)
export SOURCE_DATE_EPOCH

built() { # UMASK FOLDER: the commit unpacked into FOLDER/tree, and what is built of it in FOLDER/dist
  (
    umask "$1"
    mkdir -p "$2/tree"
    git -C "$here" archive HEAD | tar -x -m -C "$2/tree"
    cd "$2/tree"
    "$python" -m build --no-isolation --outdir "$2/dist" . >"$2/log" 2>&1 || { cat "$2/log" >&2; exit 1; }
  )
}
built 022 "$work/one"
built 077 "$work/another/place"

mkdir -p "$here/dist"
rm -f "$here"/dist/hardsight-*
for file in "$work"/one/dist/*; do
  cmp "$file" "$work/another/place/dist/$(basename "$file")"
  cp "$file" "$here/dist/"
done
"$python" -m twine check --strict "$here"/dist/hardsight-*
"$python" - "$here"/dist/hardsight-*.whl "$here"/dist/hardsight-*.tar.gz "$here" <<'PY'
import subprocess
import sys
import tarfile
import zipfile

wheel, sdist, here = sys.argv[1:]
listed = subprocess.check_output(["git", "-C", here, "ls-tree", "-r", "--name-only", "HEAD", "hardsight"], text=True)
package = set(listed.split())
packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
assert packed == package, f"the wheel differs from the package: {sorted(packed ^ package)}"
assert "hardsight/py.typed" in packed
root = sdist.rpartition("/")[2].removesuffix(".tar.gz") + "/"
kept = {name.removeprefix(root) for name in tarfile.open(sdist).getnames()}
assert package <= kept, f"the sdist lacks {sorted(package - kept)}"
print(f"reproducible: two builds of wheel and sdist are equal, byte for byte; {len(packed)} files in the wheel, py.typed too")
PY
(cd "$here/dist" && sha256sum hardsight-*)
