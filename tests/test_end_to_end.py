"""The whole house in the small: `dvc repro` in a fresh Git repository makes the demo data and the report."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from prolepsis.variants import VARIANTS

from support import ROOT, Project, copy_project

STAGES = {
    "demo_data-demo_text",
    "demo_data-demo_video",
    "corpus_ingestion",
    "tokenization-wordpiece",
    "tokenization-byte_bpe",
    "tokenization-word_level",
    "tokenization",
    "word2vec",
    "bert",
    "downstream",
    "video_ingestion",
    "feature_extraction",
    *(f"action_detection-{detector}" for detector in VARIANTS["action_detection"]),
    "detection_evaluation",
    "report",
}


def command(folder: Path, *arguments: str) -> str:
    """Runs a tool of this environment in a folder and returns what it printed."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    result = subprocess.run(
        arguments, cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=560
    )
    assert result.returncode == 0, f"{' '.join(arguments)}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Tester", "-c", "user.email=tester@example.invalid"]
    command(folder, "git", *identity, *arguments)


def repository(path: Path) -> Project:
    """A copy of the project under Git and DVC, whose stages run with the configuration of `conf/test`."""
    copy_project(path)
    shutil.copytree(ROOT / ".dvc", path / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "*.local"))
    shutil.copy(ROOT / ".dvcignore", path)
    shutil.copy(ROOT / ".gitignore", path)
    git(path, "init", "--quiet")
    command(path, "kedro", "stages", "sync", "--env", "test")
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--message", "The project")
    return Project(path)


def stages_run(printed: str) -> set[str]:
    return set(re.findall(r"Running stage '([^']+)'", printed))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A repository in which `dvc repro` has run."""
    project = repository(tmp_path_factory.mktemp("end_to_end") / "project")
    assert stages_run(command(project.path, "dvc", "repro")) == STAGES
    return project


def reporting(project: Project, name: str) -> Any:
    return json.loads((project.path / "data" / "test" / "08_reporting" / name).read_text())


def test_the_report_is_one_page_with_the_figures_of_the_run(demo: Project):
    page = (demo.path / "data" / "test" / "08_reporting" / "report.html").read_text()
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", page), "the page needs the network"
    metrics = reporting(demo, "detection_evaluation/metrics.json")
    for detector in VARIANTS["action_detection"]:
        figure = metrics[detector]["test"]["mean_average_precision"]
        assert f"{figure:.3f}" in page or f"{100 * figure:.1f}" in page, detector
    manifest = demo.load("video_manifest")
    for video in manifest.filter(pl.col("split") == "test")["video"]:
        assert video in page


def test_running_again_skips_every_stage(demo: Project):
    printed = command(demo.path, "dvc", "repro")
    assert stages_run(printed) == set()
    assert "Data and pipelines are up to date" in printed


def test_planted_duplicates_and_junk_do_not_come_through(demo: Project):
    metrics = reporting(demo, "corpus_ingestion/metrics.json")
    assert metrics["documents"]["kept"] < metrics["documents"]["read"]
    documents = demo.load("documents").collect()
    assert documents["text"].n_unique() == documents.height
    assert set(documents["split"]) == {"train", "val"}


def test_labels_features_and_scores_share_one_grid(demo: Project):
    manifest = demo.load("video_manifest")
    features = demo.load("frame_features")
    labels = demo.load("frame_labels").group_by("video").len()
    steps = dict(manifest.select("video", "num_steps").iter_rows())
    assert dict(labels.iter_rows()) == steps
    assert {video: len(features[video]) for video in features.videos} == steps
    scores = demo.load("trn.scores").group_by("video", "split").len().collect()
    scored = manifest.filter(pl.col("split") != "train").select("video", "split", "num_steps")
    assert set(scores.iter_rows()) == set(scored.iter_rows())


def test_no_model_has_seen_the_test_split(demo: Project):
    training = demo.load("trn.training_metrics")
    assert "test" not in json.dumps(training)
    assert "train" not in set(demo.load("trn.scores").collect()["split"])


def test_metrics_plots_and_graph_are_there_for_dvc(demo: Project):
    metrics = json.loads(command(demo.path, "dvc", "metrics", "show", "--json"))
    files = metrics[""]["data"]
    assert any("bert" in name for name in files)
    assert any("detection_evaluation" in name for name in files)
    graph = command(demo.path, "dvc", "dag", "--mermaid")
    assert all(stage in graph for stage in STAGES)
    page = command(demo.path, "dvc", "plots", "show").strip().removeprefix("file://")
    assert Path(page).stat().st_size > 1000


def test_one_parameter_runs_its_stage_and_what_follows_and_nothing_else(demo: Project):
    git(demo.path, "add", "--all")
    git(demo.path, "commit", "--quiet", "--message", "A run")
    file = demo.path / "conf" / "test" / "parameters" / "bert.yml"
    before = file.read_text()
    parameters = yaml.safe_load(before)
    parameters["bert"]["training"]["seed"] = 1234
    file.write_text(yaml.safe_dump(parameters))
    try:
        assert stages_run(command(demo.path, "dvc", "repro")) == {"bert", "downstream", "report"}
        changed = json.loads(command(demo.path, "dvc", "metrics", "diff", "--json"))
        assert any("bert" in name for name in changed)
        assert not any("word2vec" in name for name in changed)
    finally:
        file.write_text(before)


def test_kedro_viz_previews_tables_figures_and_metrics(demo: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KEDRO_ENV", "test")
    command(demo.path, "kedro", "viz", "build", "--include-hooks", "--include-previews")
    nodes = [json.loads(path.read_text()) for path in (demo.path / "build" / "api" / "nodes").iterdir()]
    previews = {
        Path(node["filepath"]).relative_to(demo.path / "data" / "test").as_posix(): node["preview_type"]
        for node in nodes
        if node.get("preview") is not None and node.get("filepath")
    }
    assert previews["03_primary/documents"] == "TablePreview"
    assert previews["04_feature/frame_features"] == "TablePreview"
    assert previews["07_model_output/scores/trn"] == "TablePreview"
    assert previews["08_reporting/detection_evaluation/metrics.json"] == "JSONPreview"
    assert previews["08_reporting/word2vec/word_map.png"] == "ImagePreview"
    assert len(previews) > 40


def test_every_contract_held(demo: Project):
    results = [
        json.loads(path.read_text())
        for path in (demo.path / "data" / "test" / "08_reporting" / "validation").glob("*.json")
    ]
    assert len(results) > 15
    assert all(result["success"] for result in results)


def test_a_users_own_data_takes_the_place_of_the_demo(tmp_path: Path, demo: Project):
    project = repository(tmp_path / "project")
    raw = project.path / "data" / "test" / "01_raw"
    command(project.path, "dvc", "remove", "--outs", "demo_data-demo_text", "demo_data-demo_video")
    shutil.copytree(demo.path / "data" / "test" / "01_raw", raw, ignore=shutil.ignore_patterns(".gitignore"))
    next((raw / "corpus").rglob("*.parquet")).unlink()  # so that it is not the demo's corpus
    added = [str(raw / name) for name in ("corpus", "videos", "annotations.csv")]
    command(project.path, "dvc", "add", "--quiet", *added)
    command(project.path, "kedro", "stages", "sync", "--env", "test")
    command(project.path, "kedro", "stages", "check", "--env", "test")
    stages = yaml.safe_load((project.path / "dvc.yaml").read_text())["stages"]
    assert set(stages) == STAGES - {"demo_data-demo_text", "demo_data-demo_video"}
    printed = command(project.path, "dvc", "repro", "corpus_ingestion", "video_ingestion")
    assert stages_run(printed) == {"corpus_ingestion", "video_ingestion"}
    own = project.load("documents").select("source").unique().collect()["source"].to_list()
    assert own
    assert not any(source.endswith(".parquet") for source in own)
