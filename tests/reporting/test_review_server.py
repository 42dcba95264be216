"""The server of the review page: what it answers, whom it refuses, and a real browser that decides with it."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
import uvicorn
from PIL import Image
from support.random_results import named_result, random_table, samples_of
from support.review_browser import Reader
from support.waiting import wait_until

from hardsight.difficulty.decisions import read_decisions
from hardsight.errors import InputError
from hardsight.reporting.review.nearest import NearestSearch
from hardsight.reporting.review.server import create_app, serve

SECRET = "s3cret"


@contextmanager
def running(d, samples, folder):
    """The server in a thread, on a free port; gives the port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        config = uvicorn.Config(create_app(d, samples, folder, SECRET), log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def ask(port, path, method="GET", body=None, **headers):
    """Status, headers and content; the path goes out as it is, unlike a browser's."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.putrequest(method, path, skip_host="Host" in named)
    for name, value in named.items():
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("out")
    (place.parent / "outside.csv").write_text("id,action\nn1,drop\n")
    (place / "report.html").write_text("<html>report</html>")
    return place


@pytest.fixture(scope="module")
def port(folder):
    d = named_result()
    with running(d, samples_of(d, "table", random_table()), folder) as port:
        yield port


def test_samples_neighbours_and_search(port):
    d = named_result()
    status, headers, content = ask(port, f"/{SECRET}/samples/0")
    assert status == 200
    assert "access-control-allow-origin" not in {name.lower() for name in headers}
    assert headers["cache-control"] == "no-store"
    values = json.loads(content)["values"]
    assert values[0] == {"name": "length", "value": "99", "unusual": "unusually high"}
    assert values[1]["name"] == "town"
    assert json.loads(ask(port, f"/{SECRET}/samples/1")[2])["values"][1]["unusual"] == "rare"
    assert json.loads(ask(port, f"/{SECRET}/samples/2")[2])["values"][0]["unusual"] == "seldom missing"
    for row in ("9" * 5000, "-1", "1.0", "%d9%a3", "999999"):
        assert ask(port, f"/{SECRET}/samples/{row}")[0] == 404
    near = json.loads(ask(port, f"/{SECRET}/nearest/7")[2])
    assert near == NearestSearch(samples_of(d, "table", random_table()).matrix).find(np.array([7]))[0].tolist()
    found = np.frombuffer(ask(port, f"/{SECRET}/search?text=ULM")[2], dtype="<u4")
    assert found.tolist() == np.flatnonzero(random_table()["town"] == "Ulm").tolist()
    assert ask(port, f"/{SECRET}/images/0")[0] == 404
    assert ask(port, f"/{SECRET}/report.html")[2] == b"<html>report</html>"


@pytest.mark.parametrize(
    "path",
    [
        "/", "/decisions.csv", f"/{SECRET}x/", "/wrong/samples/0", f"/{SECRET}/samples/300", f"/{SECRET}/samples/-1",
        f"/{SECRET}/samples/1e1", f"/{SECRET}/../outside.csv", f"/{SECRET}/..%2foutside.csv",
        f"/{SECRET}/%2e%2e/outside.csv",
        f"/{SECRET}/samples/../../outside.csv", f"/{SECRET}//etc/passwd", f"/{SECRET}/..\\outside.csv",
        f"/{SECRET}/report.html/../../outside.csv", "//etc/passwd", f"/{SECRET}/difficulty.parquet",
        f"/{SECRET}/report.html%00", f"/{SECRET}/samples/9999999999999999999999",
    ],
)  # fmt: skip
def test_there_is_nothing_but_the_page_and_its_parts(port, path):
    status, _, content = ask(port, path)
    assert status in (400, 404)
    assert b"drop" not in content
    assert b"root" not in content


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_other_names_of_the_host_are_refused(port, host):
    assert ask(port, f"/{SECRET}/", Host=host)[0] == 400


def put(port, body, **headers):
    return ask(port, f"/{SECRET}/decisions.csv", "PUT", body, **{"Content_Type": "text/csv"} | headers)


def test_decisions_are_checked_and_kept(port, folder):
    assert ask(port, f"/{SECRET}/decisions.csv")[::2] == (200, b"")
    good = b"id,action,label\r\nn1,drop,\r\n"
    assert put(port, good)[0] == 204
    assert ask(port, f"/{SECRET}/decisions.csv")[2] == good
    for bad in (b"id,action\nn999,drop\n", b"id,action\nn1,burn\n", b"\xff\xff", b"", b'id,action\n"n1'):
        assert put(port, bad)[0] == 422
    assert put(port, good, Content_Type="text/plain")[0] == 415
    assert put(port, good, Origin="http://evil.example")[0] == 403
    assert put(port, good, Host="evil.example")[0] == 400
    assert ask(port, f"/{SECRET}/decisions.csv", "OPTIONS", Origin="http://evil.example")[0] == 405
    assert (folder / "decisions.csv").read_bytes() == good
    assert sorted(path.name for path in folder.iterdir()) == ["decisions.csv", "report.html"]
    (folder / "decisions.csv").unlink()


def test_links_do_not_lead_out_of_the_folder(tmp_path):
    (tmp_path / "outside").write_text("id,action\nn1,drop\n")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "decisions.csv").symlink_to(tmp_path / "outside")
    with running(named_result(), None, folder) as port:
        assert ask(port, f"/{SECRET}/decisions.csv")[0] == 404
        assert put(port, b"id,action\nn2,keep\n")[0] == 204
    assert (tmp_path / "outside").read_text() == "id,action\nn1,drop\n"
    assert not (folder / "decisions.csv").is_symlink()


def test_images_and_texts_are_handed_over(tmp_path):
    d = named_result(120)
    images = np.random.default_rng(0).integers(0, 256, (120, 8, 8), dtype=np.uint8)
    with running(d, samples_of(d, "image", images), tmp_path) as port:
        found = Image.open(BytesIO(ask(port, f"/{SECRET}/images/5")[2]))
        assert (np.asarray(found) == images[5]).all()
        assert json.loads(ask(port, f"/{SECRET}/samples/5")[2]) == {"kind": "image", "pixelated": True}
    texts = np.array([f"text {i}" for i in range(120)], dtype=object)
    written = replace(samples_of(d, "text", texts), embedding=np.ones((120, 2), np.float32))
    with running(d, written, tmp_path) as port:
        assert json.loads(ask(port, f"/{SECRET}/samples/7")[2])["text"] == "text 7"
        assert np.frombuffer(ask(port, f"/{SECRET}/search?text=TEXT%2099")[2], "<u4").tolist() == [99]


@pytest.mark.slow
def test_a_browser_decides_and_finds_it_again(browser, tmp_path):
    d = named_result()
    with running(d, samples_of(d, "table", random_table()), tmp_path) as port:
        reader = Reader(browser).open(f"http://127.0.0.1:{port}/{SECRET}/")
        reader.page.wait_for_selector("#detail .values")
        assert reader.page.locator("#detail .near li").count() == 8
        reader.press("d", "k")
        kept = tmp_path / "decisions.csv"
        wait_until(lambda: kept.exists() and len(read_decisions(kept)) == 2)
        assert d.apply(kept).actions[np.argsort(-d.p_wrong)[:2]].tolist() == ["drop", "keep"]
        reader.press("z")
        wait_until(lambda: len(read_decisions(kept)) == 1)
        reader.page.fill("#search", "nowhere")
        reader.page.wait_for_function("() => document.getElementById('count').textContent === '1 of 300 samples'")
        assert all(url.startswith((f"http://127.0.0.1:{port}/{SECRET}/", "data:", "blob:")) for url in reader.asked)
        assert reader.faults == []
        reader.close()
        # Another browser, which has kept nothing.
        other = Reader(browser).open(f"http://127.0.0.1:{port}/{SECRET}/")
        assert other.text("#progress") == "1 of 300 decided: 1 drop"
        # What the server has no more, the browser brings not back.
        kept.unlink()
        other.page.reload()
        other.page.wait_for_selector("html[data-complete]", state="attached")
        assert "none decided" in other.text("#progress")
        other.press("End", "u")
        wait_until(kept.exists)
        assert read_decisions(kept)["action"].tolist() == ["unsure"]
        other.close()


def test_decisions_of_another_result_are_not_written_over(tmp_path):
    (tmp_path / "decisions.csv").write_text("id,action\nother,drop\n")
    with pytest.raises(
        InputError, match=rf"decisions in {tmp_path}/decisions\.csv .* not measured .*, or move that file away"
    ):
        create_app(named_result(), None, tmp_path, SECRET)
    assert (tmp_path / "decisions.csv").read_text() == "id,action\nother,drop\n"


def test_decisions_are_not_put_beside_a_result_that_was_written_since(tmp_path):
    d = named_result()
    d.save(tmp_path / "difficulty.parquet")
    with running(d, None, tmp_path) as port:
        assert put(port, b"id,action\nn1,drop\n")[0] == 204
        (tmp_path / "decisions.csv").unlink()
        d.save(tmp_path / "difficulty.parquet")
        status, _, reply = put(port, b"id,action\nn1,drop\n")
        assert (status, reply.endswith(b"start the server again")) == (422, True)
        assert not (tmp_path / "decisions.csv").exists()


@pytest.mark.slow
def test_what_the_server_did_not_take_is_handed_over_later(browser, tmp_path):
    d = named_result()
    with running(d, None, tmp_path) as port:
        reader = Reader(browser).open(f"http://127.0.0.1:{port}/{SECRET}/")
        reader.page.route("**/decisions.csv", lambda route: route.abort())
        reader.press("d")
        reader.page.wait_for_selector("#alarm:not([hidden])")
        assert "does not take decisions" in reader.text("#alarm")
        reader.page.unroute("**/decisions.csv")
        wait_until(lambda: (tmp_path / "decisions.csv").exists())
        reader.page.wait_for_selector("#alarm", state="hidden")
        reader.close()


@pytest.mark.slow
def test_the_command_serves_on_this_machine_alone_and_ends_in_peace(tmp_path):
    d = named_result()
    d.save(tmp_path / "difficulty.parquet")
    frame = random_table().assign(kind=d.label_names(d.labels), name=d.ids)
    frame.to_csv(tmp_path / "data.csv", index=False)
    options = ["--data", str(tmp_path / "data.csv"), "--label", "kind", "--id", "name", "--port", "0"]
    command = [sys.executable, "-m", "hardsight.cli", "serve", str(tmp_path), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}) as started:
        line = started.stdout.readline()
        url = urlsplit(re.search(r"http://\S+", line).group())
        assert url.hostname == "127.0.0.1"
        assert ask(url.port, f"{url.path}samples/0")[0] == 200
        started.send_signal(signal.SIGINT)
        assert started.wait(30) == 0


def test_a_port_that_is_taken_is_refused(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(InputError, match="cannot listen on port"):
            serve(named_result(), None, tmp_path, other.getsockname()[1])


@pytest.mark.slow
def test_frames_with_missing_words_are_shown(tmp_path):
    d = named_result()
    frame = pd.DataFrame({"word": [None, *["a", "b", "c"] * 100][:300]})
    with running(d, samples_of(d, "table", frame), tmp_path) as port:
        assert json.loads(ask(port, f"/{SECRET}/samples/0")[2])["values"][0]["value"] == "missing"
