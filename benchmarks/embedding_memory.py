"""Memory and overhead of embedding photographs: 1,000 against 20,000 JPEG files of 500 × 375.

    python benchmarks/embedding_memory.py [--many 20000] [--time] > benchmarks/embedding_memory.md

Files are drawn from a seed into a temporary folder (about 250 MB). Each run is a process of its own, whose peak memory the
kernel reports. The model is the smallest of timm, with random weights: it leaves the most to see of everything else.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT, FEW = 500, 375, 1_000
_BATCH = 32


def draw_photographs(folder: Path, count: int) -> None:
    """Write JPEG files of soft colours, half of them in either of two folders of classes."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    for i in range(count):
        small = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
        small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(folder / "ab"[i % 2] / f"{i:06d}.jpg")


def link_first(source: Path, target: Path, count: int) -> None:
    """Link the first files into another folder."""
    for i in range(count):
        place = target / "ab"[i % 2] / f"{i:06d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.hardlink_to(source / "ab"[i % 2] / f"{i:06d}.jpg")


def save_model(folder: Path) -> None:
    """Save timm's test network with random weights."""
    import timm
    import torch

    torch.manual_seed(0)
    timm.models.save_for_hf(timm.create_model("test_resnet"), folder)


def peak_bytes() -> int:
    """Return the largest resident memory of this process so far."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def embed(photographs: Path, model: Path, out: Path) -> None:
    """Embed a folder, save the vectors, and print what it took as JSON."""
    import hardsight as hs

    # A first image: libraries are imported, and the model is loaded.
    warm = Image.open(next(photographs.rglob("*.jpg")))
    encoder = hs.Encoder(f"timm:{model}", batch_size=_BATCH, workers=1, cache=out.parent / f"cache of {out.stem}")
    encoder.encode([warm] * _BATCH, "image")
    before, start = peak_bytes(), time.perf_counter()
    samples = hs.read(photographs, embedding=encoder)
    seconds = time.perf_counter() - start
    np.savez(out, ids=samples.ids, vectors=samples.embedding)
    sizes = {"vectors": samples.embedding.nbytes, "thumbnails": samples.features.nbytes}
    print(json.dumps({"n": len(samples), "before": before, "peak": peak_bytes(), "seconds": seconds, **sizes}))


def bare_loop(photographs: Path, model: Path) -> None:
    """Decode, transform and encode in a loop, as one would write it, and print the seconds as JSON."""
    import timm
    import torch

    network = timm.create_model(f"local-dir:{model}", pretrained=True, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network), is_training=False)
    files = sorted(photographs.rglob("*.jpg"))
    start = time.perf_counter()
    with torch.inference_mode():
        for at in range(0, len(files), _BATCH):
            network(torch.stack([transform(Image.open(file).convert("RGB")) for file in files[at : at + _BATCH]]))
    print(json.dumps({"n": len(files), "seconds": time.perf_counter() - start}))


def run(*arguments: str | Path) -> dict[str, float]:
    """Run this script in a process of its own, and return what it printed."""
    command = [sys.executable, __file__, *map(str, arguments)]
    printed: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return printed


def study(folder: Path, many: int, timed: bool) -> None:
    """Print the page."""
    draw_photographs(folder / "many", many)
    link_first(folder / "many", folder / "few", FEW)
    save_model(folder / "model")
    rows = {name: run("embed", folder / name, folder / "model", folder / f"{name}.npz") for name in ("few", "many")}
    few, most = (np.load(folder / f"{name}.npz") for name in ("few", "many"))
    place = {each: row for row, each in enumerate(most["ids"].tolist())}
    same = np.array_equal(few["vectors"], most["vectors"][[place[each] for each in few["ids"].tolist()]])
    print("# Memory of embedding photographs\n")
    print(
        f"`python benchmarks/embedding_memory.py{' --time' * timed}`: {WIDTH} × {HEIGHT} JPEG files, timm's `test_resnet`.\n"
    )
    print("| photographs | peak above start (MiB) | vectors (MiB) | thumbnails (MiB) | rest (MiB) | bytes kept per sample |")
    print("|---|---|---|---|---|---|")
    for row in rows.values():
        stored, grown = row["vectors"] + row["thumbnails"], row["peak"] - row["before"]
        sizes = (grown, row["vectors"], row["thumbnails"], grown - stored)
        print(f"| {row['n']:,} | {' | '.join(f'{size / 2**20:.1f}' for size in sizes)} | {stored / row['n']:,.0f} |")
    print(
        f"\nThe vectors of the {FEW:,} are {'the same in both runs, bit by bit' if same else 'NOT THE SAME in both runs'}."
    )
    if timed:
        bare, whole = (min(run(*each)["seconds"] for _ in range(3)) for each in _timed(folder))
        more = f"{whole / bare - 1:+.0%}"
        print(f"\n{FEW:,} photographs, fastest of three runs: {whole:.1f} s; a bare loop {bare:.1f} s ({more}).")


def _timed(folder: Path) -> tuple[tuple[str | Path, ...], ...]:
    arguments = (folder / "few", folder / "model")
    return ("bare", *arguments), ("embed", *arguments, "uncached")


def main() -> None:
    """Run the study, or one of its processes."""
    if sys.argv[1:2] == ["embed"]:
        out = Path(tempfile.mkdtemp()) / "uncached.npz" if sys.argv[4] == "uncached" else Path(sys.argv[4])
        embed(Path(sys.argv[2]), Path(sys.argv[3]), out)
    elif sys.argv[1:2] == ["bare"]:
        bare_loop(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--many", type=int, default=20_000, help="photographs of the larger run")
        parser.add_argument(
            "--time", action="store_true", help="also time the whole against a bare loop, on a quiet machine"
        )
        options = parser.parse_args()
        with tempfile.TemporaryDirectory() as folder:
            study(Path(folder), options.many, options.time)


if __name__ == "__main__":
    main()
