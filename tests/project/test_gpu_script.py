"""`make gpu`: its timings run on any device, and without a GPU it says so in one line."""

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, so that the script would run")
def test_without_a_gpu_it_stops_with_one_line():
    run = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) == 1
    assert run.stderr.startswith("make gpu needs a GPU that torch can use")


@pytest.mark.slow
def test_its_timings_run_on_the_cpu():
    pytest.importorskip("timm")
    spec = spec_from_file_location("gpu_script", SCRIPT)
    gpu = module_from_spec(spec)
    spec.loader.exec_module(gpu)
    rows = gpu.time_networks(["cpu", "cpu"], 200, gpu.convolutional, "network")
    rows += gpu.time_encoders([("cpu", "float32"), ("cpu", "bfloat16")], 40, "test_resnet")
    assert [row.agreement for row in rows[:3]] == ["1.0000", "1.0000", "1.0000"]
    assert 0.99 < float(rows[3].agreement) < 1.0001
    page = gpu.write_page(rows, "3 passed")
    assert page.count("\n| ") == 5
    assert "| network, 200 images, 10 members | cpu |" in page
