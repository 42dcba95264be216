"""Encoders by name: options, the cache, and what they share whatever the library."""

import json
import random
import re
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from support.errors import rejects
from support.tiny_encoders import TEXTS, photos, save_bert, save_open_clip, save_timm

import hardsight as hs
from hardsight import Encoder, InputError, Samples
from hardsight.cli import main
from hardsight.data.encoders.named import LIBRARIES, NamedModel, find_device

Y = np.arange(6) % 2


@pytest.fixture
def clip(tmp_path):
    save_open_clip(tmp_path / "clip")
    return tmp_path / "clip"


@pytest.fixture
def folder(tmp_path):
    """A folder of 40 photographs."""
    for i, image in enumerate(photos() * 7):
        place = tmp_path / "photos" / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        image.rotate(i, expand=True).save(place / f"{i:02}.png")
    return tmp_path / "photos"


def count_calls(monkeypatch):
    """Return the list of the batches that models encode from now on."""
    calls, encode = [], NamedModel.__call__
    monkeypatch.setattr(NamedModel, "__call__", lambda self, items: calls.append(len(items)) or encode(self, items))
    return calls


def test_every_library_is_a_file_with_a_name():
    assert list(LIBRARIES) == ["open_clip", "sentence-transformers", "timm", "transformers"]


def test_a_vector_depends_neither_on_the_other_files_nor_on_the_batch(clip, folder, cache):
    whole = hs.read(folder, embedding=Encoder(f"open_clip:{clip}", batch_size=8, cache=cache / "1"))
    vectors = dict(zip(whole.ids, whole.matrix, strict=True))
    for name in whole.ids[5:]:
        if name != "b/01.png":
            (folder / name).unlink()
    few = hs.read(folder, embedding=Encoder(f"open_clip:{clip}", batch_size=8, cache=cache / "2"))
    assert len(few) == 6
    for name, vector in zip(few.ids, few.matrix, strict=True):
        np.testing.assert_array_equal(vector, vectors[name])
    for batch_size, workers in ((1, 1), (3, 4)):
        other = Encoder(f"open_clip:{clip}", batch_size=batch_size, workers=workers, cache=cache / str(batch_size))
        np.testing.assert_allclose(hs.read(folder, embedding=other).matrix, few.matrix, atol=1e-5)


def test_a_second_run_is_read_from_the_cache(clip, folder, cache, monkeypatch):
    calls = count_calls(monkeypatch)
    first = hs.read(folder, embedding=f"open_clip:{clip}")
    assert calls == [32, 32, 32]
    second = hs.read(folder, embedding=f"open_clip:{clip}")
    assert len(calls) == 3
    np.testing.assert_array_equal(second.matrix, first.matrix)
    assert second.notices == first.notices


def test_a_cache_that_cannot_be_written_is_a_notice_unless_it_was_asked_for(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("no folder")
    monkeypatch.setenv("HARDSIGHT_CACHE", str(tmp_path / "cache"))
    save_timm(tmp_path / "model")
    samples = Samples.of(photos(), Y, embedding=f"timm:{tmp_path / 'model'}")
    assert re.search(
        r"Vectors are not kept: the cache .* cannot be written .*: set HARDSIGHT_CACHE", " ".join(samples.notices)
    )
    with pytest.raises(InputError, match="cannot be written"):
        Samples.of(photos(), Y, embedding=hs.Encoder(lambda items: np.ones((len(items), 2)), key="k"))


def test_other_weights_and_another_preprocessing_are_encoded_again(tmp_path, clip, cache, monkeypatch):
    calls = count_calls(monkeypatch)
    name = f"open_clip:{clip}"
    before = Samples.of(photos(), Y, embedding=name).matrix
    config = clip / "open_clip_config.json"
    settings = json.loads(config.read_text())
    settings["preprocess_cfg"]["mean"] = [0.4] * 3
    config.write_text(json.dumps(settings))
    assert not np.allclose(Samples.of(photos(), Y, embedding=name).matrix, before)
    save_open_clip(tmp_path / "other", seed=1)
    (tmp_path / "other" / "open_clip_model.safetensors").replace(clip / "open_clip_model.safetensors")
    Samples.of(photos(), Y, embedding=name)
    half = Samples.of(photos(), Y, embedding=Encoder(name, dtype="bfloat16"))
    assert len(calls) == 8
    assert half.matrix.dtype == np.float32
    np.testing.assert_allclose(half.matrix, Samples.of(photos(), Y, embedding=name).matrix, atol=0.1)


def test_an_interrupted_run_goes_on(clip, folder, cache, monkeypatch):
    encode, calls = NamedModel.__call__, []

    def interrupted(self, items):
        calls.append(len(items))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return encode(self, items)

    monkeypatch.setattr(NamedModel, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        hs.read(folder, embedding=Encoder(f"open_clip:{clip}", batch_size=10))
    resumed = hs.read(folder, embedding=Encoder(f"open_clip:{clip}", batch_size=10))
    # Two of five batches, and the first of the run once more, are new after those that were kept: three, one, and the fault.
    assert len(calls) == 4 + 3 + 1
    fresh = hs.read(folder, embedding=Encoder(f"open_clip:{clip}", batch_size=10, cache=cache / "fresh"))
    np.testing.assert_allclose(resumed.matrix, fresh.matrix, atol=1e-6)


def test_loading_a_model_leaves_the_global_random_numbers_alone(clip, cache):
    before = random.getstate(), torch.get_rng_state()
    Samples.of(photos(), Y, embedding=f"open_clip:{clip}")
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_the_command_takes_the_same_names(clip, folder, cache, tmp_path):
    arguments = ["--embedding", f"open_clip:{clip}", "--learner", "ridge", "--out", str(tmp_path / "out"), "--json"]
    result = CliRunner().invoke(main, ["measure", str(folder), *arguments])
    assert result.exit_code == 0, result.output
    wrong = CliRunner().invoke(main, ["measure", str(folder), "--embedding", "tim:resnet18"])
    assert wrong.exit_code
    assert "Got 'tim:resnet18' (did you mean 'timm'?)" in wrong.output


def test_other_inputs_than_the_library_reads_are_one_line(tmp_path, cache):
    for X, message in ((TEXTS, "reads images, and these samples are texts"), (np.eye(6), "samples are neither")):
        with pytest.raises(InputError, match=message):
            Samples.of(X, Y, embedding="timm:resnet18")
    save_bert(tmp_path)
    with pytest.raises(InputError, match="samples are neither"):
        Samples.of(np.eye(6), Y, embedding=f"transformers:{tmp_path}")


@pytest.mark.parametrize("library", LIBRARIES.values(), ids=lambda library: library.name)
def test_a_missing_package_is_one_line(library, monkeypatch, cache):
    monkeypatch.setitem(sys.modules, library.package, None)
    samples = photos() if "image" in library.reads else TEXTS
    message = rf"{library.name} is missing: pip install 'hardsight\[{library.extra}\]'"
    rejects(message, Samples.of, samples, Y, embedding=f"{library.name}:name")


def test_packages_that_do_not_fit_are_one_line(monkeypatch, tmp_path, cache):
    (tmp_path / "timm.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "timm"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(InputError, match=r"timm cannot be imported .operator torchvision::nms does not exist.: reinstall"):
        Samples.of(photos(), Y, embedding="timm:resnet18")
    (tmp_path / "timm.py").write_text("import torch_vision_that_is_missing.ops")
    with pytest.raises(InputError, match="torch_vision_that_is_missing, which timm needs, is missing: pip install"):
        Samples.of(photos(), Y, embedding="timm:resnet18")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "timm:"}, "the name of a model must be one of open_clip:NAME"),
        ({"model": "resnet18"}, "the name of a model must be one of open_clip:NAME"),
        ({"model": "tim:resnet18"}, "did you mean 'timm'"),
        ({"model": "timm:a", "key": "k"}, "key is for functions"),
        ({"model": "timm:a", "dtype": "int8"}, "dtype must be one of float32, float16, bfloat16. Got 'int8'"),
        ({"model": "timm:a", "workers": 0}, "workers must be"),
        ({"model": "timm:a", "prompt": 3}, "prompt must be a text"),
        ({"model": len, "device": "cpu", "prompt": "a"}, "device, prompt cannot be set for a function"),
    ],
)
def test_options_are_checked(arguments, message):
    with pytest.raises(InputError, match=message):
        Encoder(**arguments)


def test_devices():
    assert find_device("cpu").type == "cpu"
    assert find_device("auto").type == ("cuda" if torch.cuda.is_available() else find_device("auto").type)
    for name in ("gpu", "cuda:99", "xpu:3"):
        with pytest.raises(InputError, match=f"device must be 'auto' or one that torch finds here. Got '{name}'"):
            find_device(name)


def test_a_device_that_is_not_there_is_one_line(tmp_path, cache):
    save_timm(tmp_path / "model")
    with pytest.raises(InputError, match="device must be 'auto'"):
        Samples.of(photos(), Y, embedding=Encoder(f"timm:{tmp_path / 'model'}", device="cuda:99"))


@pytest.mark.parametrize("library", sorted(LIBRARIES))
def test_a_folder_that_is_not_there_is_not_looked_for_on_the_hub(library):
    model = NamedModel(f"{library}:./absent", device="cpu", dtype="float32", workers=1, prompt=None)
    with pytest.raises(hs.InputError, match=r"no folder at \./absent"):
        model.load(model.library.reads[0])
