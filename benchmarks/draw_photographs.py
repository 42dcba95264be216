"""Draw many photographs of 500 × 375 pixels from a few large images, as folders of classes with some wrong labels.

    python benchmarks/draw_photographs.py IMAGES FOLDER [--count 100000] [--wrong 0.05]

IMAGES holds large photographs and drawings at any depth, such as those of Debian's `gnome-backgrounds`,
`mate-backgrounds`, `plasma-workspace-wallpapers`, `lomiri-wallpapers-16.04`, `lomiri-wallpapers-20.04` and
`ukui-wallpapers`, unpacked with `dpkg-deb -x`. Each image is a class. A photograph is a window of it at a random place,
scale and brightness, mirrored half of the time, saved as JPEG of quality 93. Some are put into the folder of another class;
`FOLDER.csv` lists these.
"""

import argparse
import csv
import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

WIDTH, HEIGHT, QUALITY = 500, 375, 93
SUFFIXES = {".jpg", ".png", ".webp"}
# Widths to which an image is scaled before windows are cut out of it.
SCALES = (700, 1000, 1400, 1900)
MIN_WIDTH, MIN_DEVIATION = 1200, 12


def read_large_images(folder: Path) -> dict[str, list[Image.Image]]:
    """Return the images in several sizes by a name; small ones, copies in another size and empty ones are left out."""
    large_images: dict[str, list[Image.Image]] = {}
    for file in sorted(folder.rglob("*")):
        name = file.parts[-4] if file.parent.name.startswith("images") else re.sub(r"_\d+x\d+$", "", file.stem)
        if file.suffix not in SUFFIXES or not file.is_file() or name in large_images or name == "screenshot":
            continue
        image = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
        if image.width < MIN_WIDTH or image.width < image.height or np.asarray(image.resize((64, 64))).std() < MIN_DEVIATION:
            continue
        heights = [round(image.height * width / image.width) for width in SCALES]
        sizes = [(width, height) for width, height in zip(SCALES, heights, strict=True) if height >= HEIGHT]
        large_images[name] = [image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0) for size in sizes]
    return large_images


def draw(image: list[Image.Image], rng: np.random.Generator) -> Image.Image:
    """Return a window of an image."""
    scaled = image[rng.integers(len(image))]
    left, top = rng.integers(scaled.width - WIDTH + 1), rng.integers(scaled.height - HEIGHT + 1)
    window = scaled.crop((left, top, left + WIDTH, top + HEIGHT))
    if rng.random() < 0.5:
        window = ImageOps.mirror(window)
    gains = rng.uniform(0.75, 1.2) * rng.uniform(0.93, 1.07, 3)
    return window.point([min(255, round(value * gain)) for gain in gains for value in range(256)])


def main() -> None:
    """Write the photographs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("large_images", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--wrong", type=float, default=0.05, help="share of wrong labels")
    options = parser.parse_args()
    large_images = read_large_images(options.large_images)
    names = list(large_images)
    for name in names:
        (options.folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    true = np.arange(options.count) % len(names)
    moved = np.where(rng.random(options.count) < options.wrong, rng.integers(1, len(names), options.count), 0)
    labels = (true + moved) % len(names)
    for i, (code, label) in enumerate(zip(true, labels, strict=True)):
        draw(large_images[names[code]], rng).save(options.folder / names[label] / f"{i:06d}.jpg", quality=QUALITY)
    with options.folder.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "true"])
        rows.writerows([f"{names[labels[i]]}/{i:06d}.jpg", names[true[i]]] for i in np.flatnonzero(moved))
    print(f"{options.count:,} photographs of {len(names)} classes, {np.count_nonzero(moved):,} of them with a wrong label")


if __name__ == "__main__":
    main()
