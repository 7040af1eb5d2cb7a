"""This project's own stages."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from prolepsis import plugins
from prolepsis.cli_stages import stages
from prolepsis.stages import KedroProject, StageGraph, build_stages
from prolepsis.stages.parameters import files_closed_to_experiments
from prolepsis.variants import VARIANTS

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def graph() -> StageGraph:
    return build_stages(KedroProject(ROOT, "base"))


def upstream(graph: StageGraph, name: str) -> set[str]:
    before = {writer for writer, reader in graph.edges if reader == name}
    return before.union(*(upstream(graph, writer) for writer in before))


def test_the_committed_dvc_yaml_is_what_sync_writes() -> None:
    done = CliRunner().invoke(stages, ["check"], obj=bootstrap_project(ROOT))
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("env", ["test", "cuda"])
def test_every_environment_can_be_cut_into_the_same_stages(graph: StageGraph, env: str) -> None:
    other = build_stages(KedroProject(ROOT, env))
    assert [stage.name for stage in other.stages] == [stage.name for stage in graph.stages]
    assert other.edges == graph.edges


def test_every_variant_is_a_stage(graph: StageGraph) -> None:
    names = {stage.name for stage in graph.stages}
    assert {f"{pipeline}-{variant}" for pipeline, found in VARIANTS.items() for variant in found} <= names


def test_the_chains_of_words_and_frames_do_not_wait_for_each_other(graph: StageGraph) -> None:
    words = upstream(graph, "bert") | upstream(graph, "word2vec")
    frames = upstream(graph, "detection_evaluation")
    # Without the demonstration, which is left out where the corpus is one's own.
    assert words - {"demo_data-demo_text"} == {
        "corpus_ingestion",
        "tokenization-wordpiece",
        "tokenization-word_level",
    }
    assert not words & frames


def test_a_detector_depends_on_its_own_code_only(graph: StageGraph) -> None:
    for stage in graph.stages:
        if stage.name.startswith("action_detection-"):
            variant = stage.name.removeprefix("action_detection-")
            folder = "src/prolepsis/action/detectors/"
            detectors = {path.removeprefix(folder) for path in stage.files if path.startswith(folder)}
            assert {"base.py", f"{variant}.py"} <= detectors
            others = {f"{name}.py" for name in plugins.names("prolepsis.action_detectors")}
            assert detectors & others == {f"{variant}.py"}


def test_everything_that_is_made_goes_into_the_report(graph: StageGraph) -> None:
    everything = {stage.name for stage in graph.stages}
    assert upstream(graph, "report") == everything - {"report"}


def test_experiments_can_set_every_parameter(graph: StageGraph) -> None:
    assert files_closed_to_experiments(KedroProject(ROOT, "base")) == []


def test_dvc_calls_nobody() -> None:
    from configparser import ConfigParser

    config = ConfigParser()
    config.read(ROOT / ".dvc" / "config")
    assert not config.getboolean("core", "analytics")
    assert not config.getboolean("core", "check_update")
