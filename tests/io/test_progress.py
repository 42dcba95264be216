"""The progress bar: an estimate before long runs, and a full bar at the end."""

import pytest

from hardsight.io.progress import progress_bar


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def shown(capsys, total, steps, step_seconds, show=True):
    clock = Clock()
    with progress_bar(show, total, "training", clock) as on_progress:
        for step in steps:
            clock.now += step_seconds
            on_progress(step)
    captured = capsys.readouterr()
    assert not captured.out
    return captured.err


def test_a_long_run_is_estimated_once_after_some_seconds(capsys):
    text = shown(capsys, 50, [1] * 50, 14.4)
    assert text.count("about") == 1
    assert "training: about 12 min for 50 models" in text
    assert "50/50" in text


@pytest.mark.parametrize(("seconds", "words"), [(0.9, None), (1.5, "about 75 s"), (180, "about 2.5 h")])
def test_the_estimate_is_rough_and_left_out_for_short_runs(capsys, seconds, words):
    text = shown(capsys, 50, [0.5] * 100, seconds / 2)
    assert (words or "") in text
    assert ("about" in text) == (words is not None)


def test_models_of_an_earlier_run_take_no_time(capsys):
    clock = Clock()
    with progress_bar(True, 100, "training", clock) as on_progress:
        on_progress(80)
        for _ in range(20):
            clock.now += 30
            on_progress(1)
    assert "about 10 min for 20 models" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("total", "steps", "ended"), [(None, [1] * 15, "15/15"), (50, [1] * 30, "30/30"), (3, [0.1] * 30, "3/3")]
)
def test_the_bar_ends_full(capsys, total, steps, ended):
    assert ended in shown(capsys, total, steps, 0.1)


def test_nothing_is_shown_without_being_asked_for(capsys):
    assert shown(capsys, 5, [1] * 5, 100, show=False) == ""
