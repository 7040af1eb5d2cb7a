"""The report pipeline reads every dataset of a run and writes one page."""

import importlib.util
import json
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from pydantic import ValidationError

from prolepsis.io import FolderDataset, JSONFolderDataset, TextDataset
from prolepsis.pipelines.report import create_pipeline
from prolepsis.pipelines.report.params import ReportParams
from prolepsis.variants import VARIANTS


def load_datasets_of_a_run() -> ModuleType:
    path = Path(__file__).parents[1] / "report" / "conftest.py"
    specification = importlib.util.spec_from_file_location("datasets_of_a_run", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def datasets() -> dict[str, Any]:
    """Every dataset that the report reads, by its name in the catalog."""
    run = load_datasets_of_a_run().make_run()
    named = {name: value for name, value in vars(run).items() if not isinstance(value, dict)}
    named |= run.corpus
    for name in ("word2vec_metrics", "bert_metrics", "video_metrics", "feature_metrics"):
        named[name] = getattr(run, name)
    named["detection_metrics"] = run.detection_metrics
    for variant in VARIANTS["tokenization"]:
        named[f"{variant}.tokenization_metrics"] = run.tokenization_metrics[variant]
        named[f"{variant}.tokenization_table"] = run.tokenization_tables[variant]
        named[f"{variant}.vocabulary_sweep"] = run.vocabulary_sweeps[variant]
    named["downstream_metrics"] = run.downstream_metrics
    named["tokenizer_comparison"] = named["downstream_picture"] = run.word_map
    for variant in VARIANTS["action_detection"]:
        # The made-up run has some of the detectors; the others look like one of these.
        made_up = variant if variant in run.training_curves else "rnn"
        named[f"{variant}.training_curves"] = run.training_curves[made_up]
        named[f"{variant}.training_metrics"] = run.training_metrics[made_up]
        named[f"{variant}.scores"] = run.detector_scores[made_up]
    return named


@pytest.fixture
def page(tmp_path: Path, datasets: dict[str, Any]) -> str:
    videos = tmp_path / "videos"
    for path in datasets["video_manifest"].filter(split="test")["path"]:
        write_grey_video(videos / path)
    validation = tmp_path / "validation"
    validation.mkdir()
    for result in datasets["validation_results"]:
        (validation / f"{result['dataset']}.json").write_text(json.dumps(result))
    report = TextDataset(filepath=str(tmp_path / "report.html"))
    sources = {name: MemoryDataset(value, copy_mode="assign") for name, value in datasets.items()}
    sources |= {
        "raw_videos": FolderDataset(filepath=str(videos)),
        "validation_results": JSONFolderDataset(filepath=str(validation)),
        "params:report": MemoryDataset(ReportParams(title="A run", timelines=2, thumbnails=3)),
        "report": report,
    }
    SequentialRunner().run(create_pipeline(), DataCatalog(sources))
    return report.load()


def write_grey_video(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25, 2))
        stream.width, stream.height = 224, 168
        stream.pix_fmt = "yuv420p"
        for i in range(250):
            picture = np.full((168, 224, 3), i, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def test_the_page_has_a_section_for_every_stage_and_a_timeline_per_test_video(page: str) -> None:
    for section in (
        "corpus",
        "tokenizers",
        "word-vectors",
        "bert",
        "downstream",
        "videos",
        "features",
        "detectors",
        "anticipation",
        "timelines",
        "checks",
    ):
        assert f'<section id="{section}">' in page
    assert page.count('<div class="timeline">') == 2
    assert "The first 2 of 3 test videos" in page
    assert page.count("data:image/jpeg;base64,") == 2 * 3
    assert len(page) < 2_000_000


def test_the_page_carries_its_title_and_what_was_checked(page: str) -> None:
    assert "<h1>A run</h1>" in page
    assert "8 of 9" in page


def test_every_dataset_that_the_report_reads_is_in_the_catalog_of_the_project(project) -> None:
    pipeline = create_pipeline()
    catalog = project.catalog()
    free = [name for name in pipeline.inputs() if not name.startswith("params:")]
    assert [name for name in free if name not in catalog] == []
    assert "report" in catalog


def test_wrong_parameters_are_named() -> None:
    with pytest.raises(ValidationError, match="thumbnails"):
        ReportParams.model_validate({"title": "x", "timelines": 1, "thumbnails": -1})
    with pytest.raises(ValidationError, match="colour"):
        ReportParams.model_validate({"title": "x", "timelines": 1, "thumbnails": 1, "colour": "red"})
