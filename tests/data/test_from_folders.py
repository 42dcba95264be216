"""Folders as people have them: splits, files of other types, damaged files, folders in folders."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from support.errors import rejects

import hardsight as hs
from hardsight import read
from hardsight.cli.group import main
from hardsight.errors import MultipleInputError


def images(folder, *names):
    for at, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), at).save(path, "PNG")
    return folder


def texts(folder, **contents):
    for name, content in contents.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "jif", "apng", "pnm", "pbm", "JPG", "Jpeg"])
def test_usual_suffixes_are_read(tmp_path, suffix):
    samples = read(images(tmp_path, "cat/1.png", f"fox/1.{suffix}"))
    assert samples.classes == ("cat", "fox")
    assert samples.notices == ()


@pytest.mark.parametrize("suffix", ["heic", "tga", "dng", "HEIF", "jp2"])
def test_a_class_of_images_that_are_not_read_is_named(tmp_path, suffix):
    images(tmp_path, "cat/1.png", "dog/1.png", f"fox/1.{suffix}", f"fox/2.{suffix}", "fox/notes.xml")
    end = suffix.lower()
    rejects(rf"no file of class 'fox' \(2 .{end}, 1 .xml\) can be read: convert them to .png or .jpg", read, tmp_path)
    samples = read(tmp_path, skip_broken=True)
    assert samples.classes == ("cat", "dog")
    assert samples.notices == (f"3 files were ignored: 2 .{end}, 1 .xml in 'fox', which is then no class.",)


def test_files_beside_the_samples_are_counted_by_class(tmp_path):
    images(tmp_path, "cat/1.png", "cat/2.heic", "dog/1.png", "annotations/a.xml", "README.md")
    assert read(tmp_path).notices == (
        "3 files were ignored: 1 .xml in 'annotations', which is then no class; 1 .heic in 'cat'; 1 in no class's folder.",
    )


SPELLINGS = [
    ("train", "test"), ("Train", "Val"), ("TRAIN", "TEST"), ("training_set", "test_set"), ("train_data", "dev"),
    ("training", "validation"), ("train2017", "val2017"), ("Training Images", "Testing Images"), ("trainset", "testset"),
    ("train", "holdout"), ("01-train", "02-valid"), ("images_train", "images_eval"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("seg_train", "seg_test"),
        ("trainval", "test"),
        ("fold1", "fold2"),
        ("Trainingsdaten", "Testdaten"),
        ("set_a_val", "x"),
    ],
)
def test_folders_that_hold_the_same_folders_are_splits(tmp_path, first, second):
    names = [f"{split}/{kind}/{at}.png" for split in (first, second) for kind in ("cat", "dog") for at in range(2)]
    images(tmp_path, *names)
    rejects("holds splits .*, not classes: choose one or more", read, tmp_path)
    assert read(tmp_path, split=second).ids.tolist() == names[4:]


def test_classes_may_hold_the_same_folders(tmp_path):
    images(tmp_path, *(f"{kind}/{place}/0.png" for kind in ("cat", "dog") for place in ("indoor", "outdoor")))
    assert read(tmp_path).classes == ("cat", "dog")


def test_folders_without_files_are_reported(tmp_path):
    images(tmp_path, "cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png")
    (tmp_path / "bird").mkdir()
    (tmp_path / ".git").mkdir()
    assert read(tmp_path).notices == ("Folders without files are no classes: 'bird'.",)


@pytest.mark.parametrize(("train", "other"), SPELLINGS)
@pytest.mark.parametrize("above", ["", "images/", "data/v1/"])
def test_splits_are_not_classes(tmp_path, train, other, above):
    names = [f"{above}{split}/{kind}/{at}.png" for split in (train, other) for kind in ("cat", "dog") for at in range(2)]
    images(tmp_path, *names)
    message = rejects(rf"holds splits .*, not classes: choose one or more \(split='{train}'", read, tmp_path)
    assert f"--split {train}" in message.replace("'", "")
    for word in (train, "train"):
        samples = read(tmp_path, split=word)
        assert samples.classes == ("cat", "dog")
        assert samples.ids.tolist() == names[:4]
        assert samples.notices == ()
    assert read(tmp_path, split=[train, other]).ids.tolist() == sorted(names)


@pytest.mark.slow
def test_the_command_reads_a_split_without_its_broken_files(tmp_path):
    images(tmp_path / "data", *[f"train/{kind}/{at}.png" for kind in ("cat", "dog") for at in range(6)], "test/cat/1.png")
    texts(tmp_path, data__train__dog__bad=b"", **{"data__train__dog__bad.png": b"no image"})
    options = ("--split", "train", "--skip-broken", "--learner", "logistic", "--folds", "2", "--repeats", "2", "--quiet")
    result = CliRunner().invoke(main, ["measure", str(tmp_path / "data"), *options, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert len(hs.Difficulty.load(tmp_path / "out")) == 12


def test_splits_beside_other_folders(tmp_path):
    images(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/cat/2.png", "unlabelled/3.png")
    rejects("holds splits .'test', 'train'., not classes", read, tmp_path)
    assert read(tmp_path, split="train").ids.tolist() == ["train/cat/1.png", "train/dog/1.png"]
    rejects("split 'val' of .* is not there: choose from 'test', 'train'", read, tmp_path, split="val")
    rejects("split test of .* holds one class .'cat'.", read, tmp_path, split="test")


def test_folders_without_classes_are_refused_with_what_they_hold(tmp_path):
    rejects("splits .'test', 'train'. without any class folders", read, images(tmp_path / "a", "train/1.png", "test/1.png"))
    rejects("no .txt files; it holds 2 .heic, 1 .md: convert", read, images(tmp_path / "b", "a/1.heic", "b/2.heic", "x.md"))


def test_a_class_may_be_called_train_or_valid(tmp_path):
    assert read(images(tmp_path / "a", "train/1.png", "bus/1.png", "car/1.png")).classes == ("bus", "car", "train")
    assert read(images(tmp_path / "b", "valid/1.png", "invalid/1.png")).classes == ("invalid", "valid")
    rejects("split 'train' of .* is not there", read, tmp_path / "b", split="train")
    rejects("leave it out, there are no splits", read, images(tmp_path / "c", "a/1.png", "b/1.png"), split="train")


def test_folders_in_class_folders_are_reported(tmp_path):
    samples = read(images(tmp_path / "a", "cat/tabby/1.png", "cat/2.png", "dog/poodle/1.png"))
    assert samples.classes == ("cat", "dog")
    assert samples.notices == ("Folders inside a class folder belong to that class: 'cat/tabby', 'dog/poodle'.",)
    images(tmp_path / "folds", "fold 1/cat/1.png", "fold 1/dog/1.png", "fold 2/cat/1.png")
    assert read(tmp_path / "folds").notices[0].endswith("(split='fold 1', --split 'fold 1').")
    assert read(tmp_path / "folds", split="fold 1").classes == ("cat", "dog")
    samples = read(images(tmp_path / "b", "cat/train/1.png", "cat/test/1.png", "dog/train/1.png"))
    assert samples.notices == ("The class folders hold splits ('test', 'train'): the files of all of them were read.",)
    images(tmp_path / "c", "pets/cat/1.png", "pets/dog/1.png")
    rejects("one class .'pets'.* If 'cat', 'dog' are the classes, pass .*c/pets", read, tmp_path / "c")


def test_damaged_images_are_named_together_and_can_be_left_out(tmp_path):
    images(tmp_path, "cat/1.png", "cat/2.png", "dog/1.png")
    whole = read(tmp_path)
    texts(tmp_path, **{f"cat__bad{at}.jpg": b"no image" for at in range(25)}, **{"dog__empty.png": b""})
    with pytest.raises(MultipleInputError, match="26 faults") as caught:
        read(tmp_path)
    assert "bad0.jpg cannot be read (not an image): fix the file or take it out" in str(caught.value)
    assert str(caught.value).endswith("and 6 more")
    assert "skip_broken=True (--skip-broken)" in str(caught.value)
    samples = read(tmp_path, skip_broken=True)
    assert samples.ids.tolist() == whole.ids.tolist()
    np.testing.assert_array_equal(samples.matrix, whole.matrix)
    assert samples.notices == (
        (
            "26 files that cannot be read were left out: 'cat/bad0.jpg' (not an image), 'cat/bad1.jpg' (not an image), "
            "'cat/bad10.jpg' (not an image) and 23 more."
        ),
    )


def test_damaged_texts_are_named_together_and_can_be_left_out(tmp_path):
    texts(
        tmp_path, ham__1=b"no suffix", **{"ham__1.txt": b"see you", "spam__2.txt": b"win money", "spam__3.txt": b"\xff\xe4"}
    )
    rejects("spam/3.txt cannot be read .not UTF-8.", read, tmp_path)
    samples = read(tmp_path, skip_broken=True)
    assert samples.features.tolist() == ["see you", "win money"]
    assert samples.notices[:2] == (
        "1 file was ignored: 1 without a suffix in 'ham'.",
        "1 file that cannot be read was left out: 'spam/3.txt' (not UTF-8).",
    )
    (tmp_path / "ham" / "1.txt").write_bytes(b"\xff")
    texts(tmp_path, **{"eggs__4.txt": b"breakfast"})
    assert "of class 'ham', none is left" in read(tmp_path, skip_broken=True).notices[1]
    texts(tmp_path, sport__a=b"from: someone", sport__b=b"text")
    rejects(r"no file of class 'sport' \(2 without a suffix\) can be read: convert them to .txt", read, tmp_path)


def test_empty_texts_are_named_by_their_files(tmp_path):
    texts(tmp_path, **{"cat__1.txt": b"one cat", "cat__2.txt": b"", "dog__1.txt": b"a dog", "dog__2.txt": b"two dogs"})
    assert read(tmp_path).notices[0] == "1 text is empty (row 1; id 'cat/2.txt')."
