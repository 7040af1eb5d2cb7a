"""`kedro watch` and `kedro highlights`, in a project of its own with a detector over frame differences."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from prolepsis import cli_watch
from prolepsis.action.detectors.rnn import RNN
from prolepsis.cli import cli
from prolepsis.training.saved_model import SavedModel

from support import Project, write_video

CLASS_NAMES = ["background", "wave", "jump"]


@pytest.fixture
def trained(project: Project, one_thread: None) -> Project:
    """A detector that always finds wave probable, and then a film."""
    config = RNN.Config(cell="gru", hidden_size=4)
    detector = RNN(config, input_size=8, num_classes=3)
    state = {name: torch.zeros_like(value) for name, value in detector.state_dict().items()}
    state["classifier.bias"] = torch.tensor([0.0, 3.0, 0.0])
    metadata = {
        "plugin": "rnn",
        "config": config.model_dump(mode="json"),
        "input_size": 8,
        "num_classes": 3,
        "class_names": CLASS_NAMES,
        "standardised": False,
        "features": {
            "encoder": "frame_difference",
            "config": {"cells": 2, "input_size": 16},
            "weights_sha256": "",
            "precision": "float32",
            "rate": 6.25,
            "dimension": 8,
            "dtype": "float16",
        },
    }
    SavedModel(state, metadata).save(project.path / "data/test/06_models/detectors/rnn")
    write_video(project.path / "film.mp4", 40, 0)
    return project


def call(project: Project, command: Any, *arguments: str) -> tuple[int, str, str]:
    metadata = bootstrap_project(project.path)
    environment = [] if "--env" in arguments else ["--env", project.env]
    done = CliRunner().invoke(command, [*arguments, *environment], obj=metadata)
    return done.exit_code, done.stdout, done.stderr


def watch(project: Project, source: str, *arguments: str) -> list[dict[str, Any]]:
    code, output, errors = call(project, cli_watch.watch, source, "-d", "rnn", *arguments)
    assert code == 0, errors
    return [json.loads(line) for line in output.splitlines()]


def test_a_film_is_watched_in_json_lines(trained: Project) -> None:
    lines = watch(trained, "film.mp4", "--fast")
    assert [line["event"] for line in lines] == ["start", "alert", "over", "end"]
    start, alert, over, end = lines
    assert (start["source"], start["detector"], start["rate"]) == ("film.mp4", "rnn", 6.25)
    assert (alert["class"], alert["next"]) == ("wave", None)
    assert alert["probability"] == pytest.approx(0.9094, abs=1e-4)
    assert (over["start"], over["end"]) == (0.0, 3.2)
    assert (end["steps"], end["dropped"]) == (20, 0)
    log = trained.path / "data/test/08_reporting/watch/rnn.jsonl"
    assert [json.loads(line) for line in log.read_text().splitlines()] == lines
    watch(trained, "film.mp4", "--fast")
    assert len(log.read_text().splitlines()) == 8


def test_options_change_the_rule_and_the_log(trained: Project) -> None:
    lines = watch(trained, "film.mp4", "--fast", "--threshold", "0.95", "--log", "here.jsonl")
    assert [line["event"] for line in lines] == ["start", "end"]
    assert len((trained.path / "here.jsonl").read_text().splitlines()) == 2
    assert [line["event"] for line in watch(trained, "film.mp4", "--fast", "--class", "jump")] == [
        "start",
        "end",
    ]
    events = [line["event"] for line in watch(trained, "film.mp4", "--fast", "--min-seconds", "9")]
    assert events == ["start", "end"]


def test_a_folder_of_features_is_watched(trained: Project) -> None:
    (trained.path / "features").mkdir()
    np.save(trained.path / "features" / "1.npy", np.zeros((9, 8), np.float32))
    (trained.path / "features" / "readme.txt").write_text("")
    lines = watch(trained, "features", "--fast", "--rate", "6.25")
    assert [line["event"] for line in lines] == ["start", "problem", "alert", "over", "end"]
    assert lines[-1]["steps"] == 9


def test_a_polite_kill_ends_it_as_the_end_of_its_source_would(
    trained: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trained.path / "features").mkdir()
    np.save(trained.path / "features" / "1.npy", np.zeros((9, 8), np.float32))
    waiting = threading.Event()
    waits = threading.Event.wait

    def wait(event: threading.Event, timeout: float | None = None) -> bool:
        if timeout == 0.05 and not waiting.is_set():  # all that is there was taken
            waiting.set()
            os.kill(os.getpid(), signal.SIGTERM)
        return waits(event, timeout)

    monkeypatch.setattr(threading.Event, "wait", wait)
    before = signal.getsignal(signal.SIGTERM)
    lines = watch(trained, "features")
    assert waiting.is_set()
    assert lines[-1]["event"] == "end"
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_page_stays_after_the_source_until_control_c(trained: Project) -> None:
    command = [
        sys.executable,
        "-m",
        "kedro",
        "watch",
        "film.mp4",
        "-d",
        "rnn",
        "--fast",
        "--env",
        trained.env,
    ]
    with subprocess.Popen(
        [*command, "--page", "--port", "0"],
        cwd=trained.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            address = next(line for line in process.stderr if "The live page: " in line).split()[-1]
            next(line for line in process.stderr if "The source has ended" in line)
            with urlopen(address, timeout=30) as answer:
                assert b"<title>Watch" in answer.read()
            process.send_signal(signal.SIGINT)
            events = [json.loads(line)["event"] for line in process.stdout]
        finally:
            process.terminate()
    assert events == ["start", "alert", "over", "end"]
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.mp4"], "There is no such video"),
        (["film.mp4", "-d", "rnm"], "Did you mean 'rnn'?"),
        (["film.mp4", "--class", "wav"], "Did you mean 'wave'?"),
        (["film.mp4", "--class", "background"], "knows no class"),
        (["film.mp4", "--threshold", "0.1"], "must not be above"),
        (["film.mp4", "--rate", "25"], "Only features"),
        (["0", "--fast"], "comes at its own pace"),
        (["film.mp4", "--page", "--host", "nowhere.invalid"], "cannot be served"),
        (["film.mp4", "--device", "abacus"], "no device called 'abacus'"),
        (["film.mp4", "--log", "film.mp4/watch.jsonl"], "The log cannot be written"),
        (["rtsp://[camera/1"], "The address of the stream is none"),
        (["film.mp4", "--env", "nowhere"], "There is no environment 'nowhere'"),
    ],
)
def test_what_is_wrong_is_said(trained: Project, arguments: list[str], said: str) -> None:
    given = arguments if "-d" in arguments else [*arguments, "-d", "rnn"]
    code, _, errors = call(trained, cli_watch.watch, *given)
    assert code == 1
    assert said in errors


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--threshold", "2"),
        ("--threshold", "nan"),
        ("--rate", "nan"),
        ("--rate", "0"),
        ("--cool-down", "inf"),
        ("--cool-down", "nan"),
        ("--min-seconds", "1e300"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(trained: Project, option: str, value: str) -> None:
    code, _, errors = call(trained, cli_watch.watch, "film.mp4", "-d", "rnn", option, value)
    assert code == 2
    assert f"'{option}'" in errors


def test_the_environment_is_by_default_that_of_kedro(trained: Project) -> None:
    done = CliRunner().invoke(
        cli_watch.watch,
        ["film.mp4", "-d", "rnn", "--fast"],
        obj=bootstrap_project(trained.path),
        env={"KEDRO_ENV": trained.env},
    )
    assert done.exit_code == 0, done.stderr


def test_before_a_training_it_says_how_to_train(project: Project) -> None:
    (project.path / "film.mp4").touch()
    for command in (cli_watch.watch, cli_watch.highlights):
        code, _, errors = call(project, command, "film.mp4")
        assert code == 1
        assert "No detector has been trained." in errors
        assert "kedro run --pipelines video" in errors


def test_highlights_are_listed_and_written(trained: Project) -> None:
    code, output, errors = call(trained, cli_watch.highlights, "film.mp4", "-d", "rnn", "--cut")
    assert code == 0, errors
    folder = trained.path / "data/test/08_reporting/highlights/film"
    assert {path.name for path in folder.iterdir()} == {
        "highlights.csv",
        "highlights.json",
        "highlights.mp4",
        "index.html",
        "thumbnails",
    }
    assert "wave" in output and "0.00 s" in output and "3.20 s" in output
    assert Path(output.splitlines()[-1]) == folder / "index.html"


def test_highlights_that_are_none_are_said(trained: Project) -> None:
    arguments = ["film.mp4", "-d", "rnn", "--class", "jump", "-o", "out"]
    code, output, _ = call(trained, cli_watch.highlights, *arguments)
    assert code == 0
    assert "No action was probable enough" in output
    assert (trained.path / "out" / "highlights.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.mp4"], "There is no such video"),
        (["rtsp://user:pass@camera/1"], "A stream has no end"),
        (["conf/base/globals.yml"], "cannot be opened as a video"),
        (["film.mp4", "-o", "conf"], "would be replaced"),
        (["film.mp4", "-o", "film.mp4/out"], "The folder cannot be made"),
    ],
)
def test_highlights_of_what_is_no_film_are_refused(trained: Project, arguments: list[str], said: str) -> None:
    code, _, errors = call(trained, cli_watch.highlights, *arguments, "-d", "rnn")
    assert code == 1
    assert said in errors
    assert (trained.path / "conf" / "base").is_dir()


def test_the_commands_are_among_kedros() -> None:
    for name, option in (("watch", "--page"), ("highlights", "--cut")):
        done = CliRunner().invoke(cli, [name, "--help"])
        assert done.exit_code == 0
        assert option in done.output
