"""Kedro-Viz as a person sees it: the built page, opened in a browser."""

import functools
import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import Project

pytestmark = pytest.mark.browser

# What the page remembers of a visitor: here one who has closed the first-visit hints.
_SEEN = """<script>localStorage.setItem("KedroViz", JSON.stringify(
{"showFeatureHints": false, "theme": "light", "expandAllPipelines": true}));</script>"""


@pytest.fixture
def page(project: Project) -> Iterator[str]:
    """The address of the built Kedro-Viz page of a project, served on the loopback interface."""
    subprocess.run(
        [sys.executable, "-m", "kedro", "viz", "build", "--include-hooks"],
        cwd=project.path,
        check=True,
        capture_output=True,
        timeout=240,
    )
    index = project.path / "build" / "index.html"
    index.write_text(index.read_text().replace("<head>", f"<head>{_SEEN}", 1))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=index.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def browse(chromium: str, url: str, profile: Path, *options: str) -> str:
    command = [
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        "--window-size=1800,1400",
        "--virtual-time-budget=20000",
        f"--user-data-dir={profile}",
        *options,
        url,
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def test_the_built_page_shows_the_nodes_of_both_chains(
    chromium: str, page: str, tmp_path: Path, pytestconfig: pytest.Config
):
    picture = pytestconfig.rootpath / "build" / "kedro_viz.png"
    picture.parent.mkdir(exist_ok=True)
    document = browse(chromium, page + "?expandAllPipelines=true", tmp_path / "dom", "--dump-dom")
    browse(chromium, page + "?expandAllPipelines=true", tmp_path / "picture", f"--screenshot={picture}")
    for node in ("ingest_corpus", "train_tokenizer", "pretrain_bert", "rasterise_labels", "train_detector"):
        assert node in document, f"the page does not show {node}"
    for layer in ("raw", "primary", "feature", "model_input", "models", "model_output", "reporting"):
        assert f'data-id="layer-label--{layer}"' in document, f"the page does not show the layer {layer}"
    assert picture.stat().st_size > 50_000
