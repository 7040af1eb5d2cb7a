"""The generated `dvc.yaml` in the hands of DVC: real Git and DVC repositories, real runs."""

import json
import os
from typing import Any

import pytest


def changed(repository: Any) -> set[str]:
    """The stages that DVC would run again for a reason of their own."""
    return set(json.loads(repository.dvc("status", "--json")))


def ran(output: str) -> list[str]:
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def test_nothing_runs_twice(repository: Any) -> None:
    output = repository.dvc("repro")
    assert ran(output) == []
    assert output.count("didn't change, skipping") == 5
    assert repository.git("status", "--porcelain") == ""
    assert "up to date" in repository.kedro("stages", "check", "--data")


def test_dvc_sees_the_graph_that_kedro_sees(repository: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from dvc.repo import Repo
    from kedro.framework.project import pipelines
    from kedro.framework.startup import bootstrap_project

    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    with Repo(str(repository.path)) as repo:
        dvc_edges = {(writer.name, reader.name) for reader, writer in repo.index.graph.edges}

    bootstrap_project(repository.path)
    nodes = {
        node.name: (node, name)
        for name in ("demo", "ingest", "train", "evaluate")
        for node in pipelines[name].nodes
    }

    def group(name: str) -> str:
        node, pipeline = nodes[name]
        return f"{pipeline}-{node.namespace}" if node.namespace else pipeline

    kedro_edges = {
        (group(parent.name), group(node.name))
        for node, parents in pipelines["__default__"].node_dependencies.items()
        for parent in parents
    }
    assert dvc_edges == kedro_edges


@pytest.mark.parametrize(
    ("file", "old", "new", "stages"),
    [
        ("src/{package}/scaling.py", "factor = 2", "factor = 3", {"train-total"}),
        ("src/{package}/rounding.py", "3", "4", {"train-total", "train-mean"}),
        ("src/{package}/cleaning.py", "> 0", ">= 0", {"ingest"}),
        ("src/{package}/unused.py", "", "import os\n", set()),
        ("conf/base/parameters/train.yml", "kind: mean, epochs: 2", "kind: mean, epochs: 3", {"train-mean"}),
        ("conf/base/globals.yml", "seed: 3", "seed: 4", {"train-mean", "train-total"}),
        ("conf/base/globals.yml", "unread: 1", "unread: 2", set()),
        ("conf/test/globals.yml", "data/test", "data/tests", set()),
    ],
)
def test_a_change_touches_the_stages_that_depend_on_it(
    clone: Any, file: str, old: str, new: str, stages: set[str]
) -> None:
    clone.replace(file.format(package=clone.package), old, new)
    assert changed(clone) == stages


def test_one_parameter_runs_its_stage_and_what_follows_and_an_experiment_does_the_same(clone: Any) -> None:
    clone.replace("conf/base/parameters/train.yml", "kind: total, epochs: 2", "kind: mean, epochs: 2")
    output = clone.dvc("repro")
    assert ran(output) == ["train-total", "evaluate"]
    assert json.loads((clone.path / "data/08_reporting/total/metrics.json").read_text()) == {"value": 5.0}
    assert "ratio" in clone.dvc("metrics", "diff")

    clone.dvc("exp", "run", "-S", "conf/base/parameters/train.yml:train.total.epochs=7")
    curve = json.loads((clone.path / "data/08_reporting/total/curve.json").read_text())
    assert [row["step"] for row in curve] == [1, 2, 3, 4, 5, 6, 7]
    assert "7" in clone.dvc("exp", "show", "--csv")


def test_metrics_and_plots_are_shown(clone: Any) -> None:
    table = clone.dvc("metrics", "show", "--json")
    assert json.loads(table)[""]["data"] == {
        "data/08_reporting/comparison.json": {"data": {"ratio": 8.0, "validated": 2}},
        "data/08_reporting/mean/metrics.json": {"data": {"value": 2.5}},
        "data/08_reporting/total/metrics.json": {"data": {"value": 20.0}},
    }
    clone.dvc("plots", "show", "-o", "plots")
    page = (clone.path / "plots" / "index.html").read_text()
    assert "mean_curve" in page
    assert "total_curve" in page
    assert '"loss": 1.25' in page


def test_own_data_takes_the_place_of_the_demonstration(clone: Any) -> None:
    clone.dvc("remove", "demo")
    clone.write("data/01_raw/numbers.json", "[10, -1, 30]")
    clone.dvc("add", "data/01_raw/numbers.json")
    output = clone.kedro("stages", "sync")
    assert "left out: demo (tracked by data/01_raw/numbers.json.dvc)" in output
    assert ran(clone.dvc("repro", "ingest")) == ["ingest"]
    assert json.loads((clone.path / "data/01_raw/numbers.json").read_text()) == [10, -1, 30]
    assert json.loads((clone.path / "data/03_primary/numbers.json").read_text()) == [10, 30]
    assert "up to date, 4 stages" in clone.kedro("stages", "check", "--data")
    assert "A  data/01_raw/numbers.json.dvc" in clone.git("status", "--porcelain")
