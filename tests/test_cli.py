"""What a person sees when something is wrong: one message that names the thing, the place and the remedy."""

import subprocess
import sys
from pathlib import Path

import av
import numpy as np

from support import Project

# What is known of the videos themselves, which no annotation changes.
WRITTEN_BEFORE_THE_ANNOTATIONS_ARE_READ = [
    "03_primary/set_aside_videos.parquet",
    "03_primary/video_manifest.parquet",
]


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


def annotated_video(project: Project, rows: str) -> Path:
    """Two seconds of a video named `match`, and annotations; returns the path of these."""
    videos = raw(project) / "videos" / "train"
    videos.mkdir(parents=True)
    with av.open(str(videos / "match.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in range(20):
            picture = np.full((48, 64, 3), 10 * level, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    annotations = raw(project) / "annotations.csv"
    annotations.write_text(f"video,start,end,label\n{rows}")
    return annotations


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
    (corpus / "broken.txt").write_bytes(b"good words and then \x00\x01 no text\n")
    message = refused(project, "--pipelines", "corpus_ingestion")
    assert "broken.txt" in message
    assert "binary file" in message
    assert written(project) == []


def test_an_unreadable_video_among_unreadable_videos_is_named(project: Project):
    videos = raw(project) / "videos"
    videos.mkdir()
    (videos / "broken.mp4").write_bytes(b"this is no video")
    (raw(project) / "annotations.csv").write_text("video,start,end,label\n")
    message = refused(project, "--pipelines", "video_ingestion")
    assert "broken.mp4" in message
    assert written(project) == []


def test_an_annotation_of_an_unknown_video_is_named_with_its_row(project: Project):
    annotations = annotated_video(project, "match,0.2,0.8,run\nmach,0.2,0.8,run\n")
    message = refused(project, "--pipelines", "video_ingestion")
    assert "line 3: there is no video 'mach'; did you mean 'match'?" in message
    assert f"where: {annotations}" in message
    assert "to do: Mend these places in the file; times are in seconds from the first frame." in message
    assert written(project) == WRITTEN_BEFORE_THE_ANNOTATIONS_ARE_READ


def test_an_annotation_beyond_the_end_of_its_video_is_named_with_its_row(project: Project):
    annotations = annotated_video(project, "match,0.2,0.8,run\nmatch,1.0,9.5,jump\n")
    message = refused(project, "--pipelines", "video_ingestion")
    assert "line 3: the end 9.5 s is beyond the end of the video 'match' at 2.00 s" in message
    assert f"where: {annotations}" in message
    assert "to do: Mend these places in the file; times are in seconds from the first frame." in message
    assert written(project) == WRITTEN_BEFORE_THE_ANNOTATIONS_ARE_READ


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
