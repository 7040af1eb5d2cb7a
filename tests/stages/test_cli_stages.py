"""`kedro stages sync`, `check` and `graph`."""

from typing import Any

import pytest


def test_sync_writes_and_then_finds_nothing_to_do(mini: Any) -> None:
    assert mini.stages("sync") == (0, "dvc.yaml: written, 5 stages\n")
    assert mini.stages("sync") == (0, "dvc.yaml: already up to date, 5 stages\n")
    assert mini.stages("check") == (0, "dvc.yaml: up to date, 5 stages\n")


def test_check_fails_before_the_first_sync(mini: Any) -> None:
    code, output = mini.stages("check")
    assert code == 1
    assert "run `kedro stages sync --env base`" in output


def test_check_shows_what_changed(mini: Any) -> None:
    mini.stages("sync")
    mini.replace("conf/base/catalog/ingest.yml", "03_primary", "02_intermediate")
    code, output = mini.stages("check")
    assert code == 1
    assert "-    - data/03_primary/numbers.json\n+    - data/02_intermediate/numbers.json\n" in output


def test_check_sees_an_import_that_was_added(mini: Any) -> None:
    mini.stages("sync")
    mini.replace(f"src/{mini.package}/cleaning.py", "def", f"from {mini.package} import unused\n\n\ndef")
    code, output = mini.stages("check")
    assert code == 1
    assert f"+    - src/{mini.package}/unused.py\n" in output


def test_check_sees_a_hand_made_edit(mini: Any) -> None:
    mini.stages("sync")
    mini.replace("dvc.yaml", "--pipelines ingest", "--pipelines ingest --async")
    assert mini.stages("check")[0] == 1


def test_a_project_that_cannot_be_cut_is_told_in_one_message_and_nothing_is_written(mini: Any) -> None:
    mini.write("conf/base/catalog/ingest.yml", "")
    for command in ("sync", "check", "graph"):
        code, output = mini.stages(command)
        assert code == 1
        assert "Error: The project cannot be cut into stages:\n  - the dataset 'numbers' crosses" in output
    assert not (mini.path / "dvc.yaml").exists()


def test_the_environment_is_that_of_the_command(mini: Any) -> None:
    mini.stages("sync", "--env", "test")
    assert "cmd: kedro run --env test --pipelines demo" in (mini.path / "dvc.yaml").read_text()
    assert mini.stages("check", "--env", "test")[0] == 0
    assert mini.stages("check")[0] == 1


def test_the_graph_is_text_or_mermaid(mini: Any) -> None:
    code, text = mini.stages("graph")
    assert code == 0
    assert text == (
        "demo\n"
        "ingest  <-  demo\n"
        "train-mean  <-  ingest\n"
        "train-total  <-  ingest\n"
        "evaluate  <-  train-mean, train-total\n"
    )
    _, mermaid = mini.stages("graph", "--format", "mermaid")
    assert mermaid.startswith('flowchart TD\n    s0["demo"]\n')
    assert "    s3 --> s4\n" in mermaid


def test_data_that_repro_would_delete_is_warned_of_and_fails_the_check_on_demand(mini: Any) -> None:
    mini.write("data/01_raw/numbers.json", "[1]")
    code, output = mini.stages("sync")
    assert code == 0
    assert "`dvc repro` would delete data/01_raw/numbers.json" in output
    assert "dvc remove demo && dvc add data/01_raw/numbers.json && kedro stages sync" in output
    assert mini.stages("check")[0] == 0
    assert mini.stages("check", "--data")[0] == 1
    mini.write("dvc.lock", "stages: {demo: {cmd: x}}\n")
    assert mini.stages("check", "--data") == (0, "dvc.yaml: up to date, 5 stages\n")


def test_a_parameter_file_that_experiments_cannot_change_is_warned_of(mini: Any) -> None:
    mini.replace("conf/base/parameters/demo.yml", "count: 5", "count: 5\n  seed: ${globals:seed}")
    code, output = mini.stages("sync")
    assert code == 0
    assert "`dvc exp run -S conf/base/parameters/demo.yml:…` would fail" in output
    assert output.count("would fail") == 1


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("conf/base/parameters/train.yml", "train: [", "while parsing"),
        ("conf/base/parameters/train.yml", "- train", "not names with values"),
        ("conf/base/parameters/train.yml", "train: {mean: '${globals:nowhere}'}", "nowhere"),
        ("data/01_raw/broken.dvc", "outs: [1]", "not what DVC writes"),
        ("data/01_raw/broken.dvc", "- 1", "not what DVC writes"),
        ("data/01_raw/broken.dvc", "outs: [", "not what DVC writes"),
    ],
)
def test_files_that_are_broken_are_told(mini: Any, file: str, content: str, said: str) -> None:
    mini.write(file, content)
    code, output = mini.stages("check")
    assert code == 1
    assert said in output
