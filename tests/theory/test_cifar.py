"""CIFAR-10 as a study of the lab: the reader against records written by hand, the network, its augmentation, the claims."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from hardsight.cli import main
from hardsight.errors import InputError
from hardsight.learners import Network
from hardsight.theory import check, cifar
from hardsight.theory.catalogue import REPLICATION
from hardsight.theory.claims.replicated import STUDIED
from hardsight.theory.curves import measure_training_curve
from hardsight.theory.page import render_page
from hardsight.theory.resnets import ResNet, crop_and_flip

RECORDS = 40


def written(folder, images, labels):
    """Records as CIFAR-10's page describes them: label, then all red, all green, all blue, each row by row."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(5):
        records = bytearray()
        for image, label in zip(*(part[k * RECORDS : (k + 1) * RECORDS] for part in (images, labels)), strict=True):
            records.append(int(label))
            for colour in range(3):
                for row in image:
                    records += bytes(int(pixel[colour]) for pixel in row)
        (folder / f"data_batch_{k + 1}.bin").write_bytes(records)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """200 images whose mean colour tells the class, roughly."""
    rng = np.random.default_rng(0)
    labels = np.arange(5 * RECORDS) % 10
    colours = rng.integers(60, 196, (10, 3))
    images = np.clip(colours[labels][:, None, None] + rng.normal(0, 30, (len(labels), 32, 32, 3)), 0, 255).astype(np.uint8)
    folder = tmp_path_factory.mktemp("cifar")
    written(folder / "cifar-10-batches-bin", images, labels)
    return folder, images, labels


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(cifar, "_RECORDS", RECORDS)


# ---- the reader


def test_images_are_those_that_were_written(made):
    folder, images, labels = made
    for place in (folder, str(folder / "cifar-10-batches-bin")):
        x, y = cifar.read_training_images(place)
        np.testing.assert_array_equal(x, images)
        np.testing.assert_array_equal(y, labels)


def test_broken_files_are_refused(made, tmp_path):
    _, images, labels = made
    with pytest.raises(InputError, match=r"data_batch_1\.bin not found.*binary version"):
        cifar.read_training_images(tmp_path)
    written(tmp_path, images, labels)
    third = tmp_path / "data_batch_3.bin"
    whole = third.read_bytes()
    for content in (whole[:-1], whole + bytes(3073), b""):
        third.write_bytes(content)
        with pytest.raises(InputError, match=rf"data_batch_3\.bin has {len(content):,} bytes, .* are {len(whole):,}"):
            cifar.read_training_images(tmp_path)
    third.write_bytes(whole[:3073] + bytes([10]) + whole[3074:])
    with pytest.raises(InputError, match=r"data_batch_3\.bin: record 1 has the label 10"):
        cifar.read_training_images(tmp_path)


def test_some_samples_are_drawn_evenly(made):
    folder, images, _ = made
    x, y = cifar.make_study(folder, samples=105, seed=3).images()
    assert sorted(np.bincount(y)) == [10] * 5 + [11] * 5
    assert len(np.unique(x.reshape(105, -1), axis=0)) == 105
    known = {image.tobytes(): at % 10 for at, image in enumerate(images)}
    assert [known[image.tobytes()] for image in x] == y.tolist()
    assert not np.array_equal(x, cifar.make_study(folder, samples=105, seed=4).images()[0])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"samples": 201}, "at most 200"),
        ({"samples": 99}, "samples must be"),
        ({"members": 1}, "members must be"),
        ({"depth": 21}, r"6 n \+ 2"),
        ({"norm": "layer"}, "batch, group"),
        ({"width": 0}, "width must be"),
        ({"device": "tpu"}, "cpu, cuda"),
    ],
)
def test_settings_out_of_range_are_refused(made, setting, message):
    with pytest.raises(InputError, match=message):
        cifar.make_study(made[0], **setting)


# ---- the network


def by_hand(depth):
    """Weights of the convolutions, scales and shifts of the norms, and the linear layer, from the paper's description."""
    blocks, total, before = (depth - 2) // 6, 9 * 3 * 16 + 2 * 16, 16
    for after in (16, 32, 64):
        total += 9 * before * after + (2 * blocks - 1) * 9 * after * after + 2 * blocks * 2 * after
        before = after
    return total + 64 * 10 + 10


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)])
def test_networks_have_the_published_size(depth, millions, norm):
    net = ResNet(depth, norm=norm)
    count = sum(p.numel() for p in net.parameters())
    assert count == by_hand(depth)
    assert abs(count / 1e6 - millions) < 0.01
    assert sum(isinstance(m, torch.nn.Conv2d | torch.nn.Linear) for m in net.modules()) == depth


def test_stages_halve_the_image_and_shortcuts_pass_it_on():
    net = ResNet(8, width=2).eval()
    sides = []
    for layer in net.features:
        layer.register_forward_hook(lambda _, __, out: sides.append(tuple(out.shape[1:])))
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert sides == [(2, 32, 32)] * 4 + [(4, 16, 16), (8, 8, 8)]
    block = net.features[4]
    for p in block.residual.parameters():
        torch.nn.init.zeros_(p)
    x = torch.rand(1, 2, 32, 32)
    out = block(x)
    torch.testing.assert_close(out[:, 1:3], x[:, :, ::2, ::2])
    assert out[:, [0, 3]].abs().max() == 0


def test_crops_are_windows_of_the_padded_image():
    batch = torch.rand(64, 2, 6, 5)
    out = crop_and_flip(batch, torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(batch, (4, 4, 4, 4))
    found = []
    for image, frame in zip(out, padded, strict=True):
        windows = {
            (down, across, flipped): frame[:, down : down + 6, across : across + 5]
            for down in range(9) for across in range(9) for flipped in (False, True)
        }  # fmt: skip
        fits = [at for at, w in windows.items() if torch.equal(image, w.flip(2) if at[2] else w)]
        assert fits
        found.append(fits[0])
    down, across, flipped = map(set, zip(*found, strict=True))
    assert (down, across, flipped) == (set(range(9)), set(range(9)), {False, True})
    again = crop_and_flip(batch, torch.Generator().manual_seed(0))
    assert torch.equal(out, again)


# ---- training under weights


def test_curves_follow_the_weights_and_repeat():
    rng = np.random.default_rng(0)
    y = np.arange(100) % 2
    x = rng.normal(size=(100, 3)) + 3.0 * y[:, None]
    run = {"network": Network(hidden=(8,), epochs=20, learning_rate=0.05), "moments": [0.1, 0.5, 1.0], "seed": 1}
    plain = measure_training_curve(x, y, np.ones(100), **run)
    assert plain.shape == (2, 3)
    np.testing.assert_array_equal(plain, measure_training_curve(x, y, np.ones(100), **run))
    assert plain[0, -1] < plain[0, 0]
    # Only ones count, so that all zeros are told to be ones.
    one_sided = measure_training_curve(x, y, np.where(y == 1, 2.0, 1e-9), **run)
    assert one_sided[1, -1] > 0.3 > plain[1, -1]


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_looking_changes_nothing(made, norm):
    study = cifar.make_study(made[0], depth=8, width=2, norm=norm, epochs=3, samples=100)
    x, y = study.images()
    often, once = (
        measure_training_curve(x, y, np.ones(100), network=study.network, moments=moments, seed=0)
        for moments in ([0.5, 0.7, 1.0], [1.0])
    )
    np.testing.assert_array_equal(often[:, -1], once[:, 0])


# ---- the claims


@pytest.mark.slow
def test_all_claims_of_the_study_are_measured(made):
    study = cifar.make_study(made[0], depth=8, width=2, norm="group", epochs=1, members=2)
    claims = check([*STUDIED], study=study)
    assert [claim.name for claim in claims] == [*STUDIED]
    for claim in claims:
        assert claim.family == "CIFAR-10"
        assert claim.source.endswith("measured here on CIFAR-10")
        assert "200 images, ResNet-8 of width 2 with group norm, 1 epochs" in claim.limits
        assert "One run" in claim.limits
        assert claim.interval is None
        assert claim.seeds == 1
        assert np.isfinite(list(claim.measured.values())).all()
    assert render_page(claims).count("<article") == len(STUDIED)


def test_studied_claims_repeat_experiments():
    assert set(STUDIED) <= set(REPLICATION)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:members are trained one after another")
def test_the_command_measures_what_the_user_gives(made, tmp_path):
    settings = ["--samples", "100", "--members", "2", "--epochs", "1", "--depth", "8", "--device", "cpu"]
    done = CliRunner().invoke(
        main,
        ["theory", "--cifar", str(made[0]), *settings, "--only", "flips-by-error", "--json", "--quiet",
         "--out", str(tmp_path)],
    )  # fmt: skip
    assert done.exit_code in (0, 1), done.output
    (claim,) = json.loads(done.stdout)["claims"]
    assert "100 images, ResNet-8 with batch norm, 1 epochs, 5 folds, 2 models per sample" in claim["limits"]
    assert (done.exit_code == 0) == claim["holds"]


def test_the_command_refuses_settings_without_images(tmp_path):
    done = CliRunner().invoke(main, ["theory", "--epochs", "3", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "--epochs needs --cifar FOLDER" in done.stderr
    absent = CliRunner().invoke(main, ["theory", "--cifar", str(tmp_path), "--out", str(tmp_path)])
    assert absent.exit_code == 1
    assert "data_batch_1.bin" in absent.stderr
