"""The example package adds a detector and a filter from outside, by being installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "plugin"

_USE = """
import polars as pl
import torch
from prolepsis import plugins

detector_class = plugins.load("prolepsis.action_detectors", "moving_average")
config = plugins.configure("prolepsis.action_detectors", "moving_average", {"time_constants": [2, 8]})
torch.manual_seed(0)
detector = detector_class(config, input_size=4, num_classes=3).eval()
features = torch.randn(2, 9, 4)
with torch.no_grad():
    batch = detector(features, torch.ones(2, 9, dtype=torch.bool)).scores
    state = detector.initial_state(2)
    for step in range(9):
        scores, _, state = detector.step(features[:, step], state)
torch.testing.assert_close(scores, batch[:, -1])

filter_class = plugins.load("prolepsis.corpus_filters", "digits")
judged = filter_class(filter_class.Config(max_share=0.5)).judge(
    pl.DataFrame({"number": [0, 1, 2], "text": ["1234 5", "one two 3", ""]})
)
assert judged["reason"].to_list() == ["too_many_digits", None, None], judged
print("moving_average" in plugins.names("prolepsis.action_detectors"))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example package installed from a copy of its source."""
    folder = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source") / "plugin"
    subprocess.run(["cp", "-r", str(EXAMPLE), str(source)], check=True)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(folder), str(source)], check=True
    )
    return folder


def test_the_example_package_is_found_and_works(installed: Path):
    environment = os.environ | {"PYTHONPATH": str(installed)}
    result = subprocess.run(
        [sys.executable, "-c", _USE], env=environment, check=False, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "True"


def test_the_command_line_shows_an_outside_plugin(installed: Path):
    environment = os.environ | {"PYTHONPATH": str(installed), "COLUMNS": "200"}
    result = subprocess.run(
        [sys.executable, "-m", "kedro", "plugins", "show", "moving_average"],
        env=environment,
        cwd=EXAMPLE.parent.parent,
        check=False,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "time_constants" in result.stdout
    assert "prolepsis_example.detector" in result.stdout
