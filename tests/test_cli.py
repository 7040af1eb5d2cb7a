"""What a person sees when something is wrong: one message that names the thing, the place and the remedy."""

import subprocess
import sys
from pathlib import Path

from support import Project


def kedro(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kedro", *arguments]
    return subprocess.run(command, cwd=project.path, check=False, capture_output=True, text=True, timeout=240)


def refused(project: Project, *arguments: str) -> str:
    """The message of a `kedro run` that a user's mistake must stop, with its line breaks made spaces."""
    result = kedro(project, "run", "--env", project.env, *arguments)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    return " ".join(result.stderr.split())


def raw(project: Project) -> Path:
    folder = project.path / "data" / "test" / "01_raw"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def written(project: Project) -> list[str]:
    """Everything a run left in the project's data besides what was there raw."""
    data = project.path / "data" / "test"
    return sorted(
        str(path.relative_to(data))
        for path in data.rglob("*")
        if path.is_file() and "01_raw" not in path.parts and "validation" not in path.parts
    )


def test_a_wrong_parameter_is_explained(project: Project):
    message = refused(project, "--pipelines", "bert", "--params", "bert.model.hidden_size=abc")
    assert "hidden_size" in message
    assert "valid integer" in message
    assert "abc" in message
    assert "parameters" in message
    assert written(project) == []


def test_a_parameter_that_does_not_exist_is_explained(project: Project):
    message = refused(project, "--pipelines", "bert", "--params", "bert.model.hiden_size=64")
    assert "hiden_size" in message


def test_an_unknown_plugin_is_answered_with_the_nearest_one(project: Project):
    message = refused(
        project,
        "--pipelines",
        "feature_extraction",
        "--params",
        "feature_extraction.encoder.plugin=efficientnet",
    )
    assert "'efficientnet'" in message
    assert "efficientnet_lite0" in message


def test_an_unknown_pipeline_is_answered_with_the_nearest_one(project: Project):
    message = refused(project, "--pipelines", "brt")
    assert "brt" in message
    assert "bert" in message


def test_an_unknown_namespace_node_or_environment_is_named(project: Project):
    assert "nosuch" in refused(project, "--pipelines", "action_detection", "--namespaces", "nosuch")
    assert "nosuch" in refused(project, "--pipelines", "bert", "--nodes", "nosuch")
    project.env = "nosuch"
    assert str(project.path / "conf" / "nosuch") in refused(project, "--pipelines", "bert")


def test_configuration_that_cannot_be_read_is_named(project: Project):
    file = project.path / "conf" / "test" / "parameters" / "broken.yml"
    file.write_text("mine:\n  training: {epochs: 2\n")
    assert str(file) in refused(project, "--pipelines", "word2vec")
    file.write_text("mine:\n  seed: ${globals:nosuch}\n")
    assert "nosuch" in refused(project, "--pipelines", "word2vec")


def test_a_missing_corpus_is_named_with_the_remedy(project: Project):
    message = refused(project, "--pipelines", "corpus_ingestion")
    assert str(project.path / "data" / "test" / "01_raw" / "corpus") in message
    assert "to do:" in message
    assert written(project) == []


def test_a_missing_dataset_of_an_earlier_stage_is_named(project: Project):
    message = refused(project, "--pipelines", "bert")
    assert "tokenizers/wordpiece" in message


def test_a_corpus_of_broken_files_stops_before_anything_is_written(project: Project):
    corpus = raw(project) / "corpus"
    corpus.mkdir()
    (corpus / "broken.txt").write_bytes(b"good words and then \xff\xfe bad bytes\n")
    message = refused(project, "--pipelines", "corpus_ingestion")
    assert "broken.txt" in message
    assert "UTF-8" in message
    assert written(project) == []


def test_an_unreadable_video_among_unreadable_videos_is_named(project: Project):
    videos = raw(project) / "videos"
    videos.mkdir()
    (videos / "broken.mp4").write_bytes(b"this is no video")
    (raw(project) / "annotations.csv").write_text("video,start,end,label\n")
    message = refused(project, "--pipelines", "video_ingestion")
    assert "broken.mp4" in message
    assert written(project) == []


def test_a_defect_of_the_program_still_shows_where_it_is(project: Project, tmp_path: Path):
    (project.path / "conf" / "test" / "catalog").mkdir(exist_ok=True)
    (project.path / "conf" / "test" / "catalog" / "wrong.yml").write_text(
        "raw_corpus:\n  type: prolepsis.io.NoSuchDataset\n  filepath: data\n"
    )
    result = kedro(project, "run", "--env", "test", "--pipelines", "corpus_ingestion")
    assert result.returncode == 1
    assert "NoSuchDataset" in result.stdout + result.stderr


def test_the_older_option_for_one_pipeline_works_too(project: Project):
    result = kedro(project, "run", "--env", "test", "--pipeline", "demo_data", "--namespaces", "demo_text")
    assert result.returncode == 0, result.stderr
    assert (project.path / "data" / "test" / "01_raw" / "corpus").is_dir()


def test_help_names_the_commands_of_the_project(project: Project):
    result = kedro(project, "--help")
    assert result.returncode == 0
    for command in ("stages", "plugins", "validation", "run"):
        assert command in result.stdout
