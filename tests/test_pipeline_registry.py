import subprocess
import sys

import pytest

from prolepsis.hooks import RESUMABLE
from prolepsis.pipeline_registry import BY_NAME_ONLY, COMPOSITES, register_pipelines

LEAVES = {
    "action_detection",
    "bert",
    "corpus_ingestion",
    "demo_data",
    "detection_evaluation",
    "downstream",
    "feature_extraction",
    "moco_pretraining",
    "precomputed_features",
    "report",
    "tokenization",
    "video_ingestion",
    "word2vec",
}


def test_every_pipeline_is_registered_with_the_composites():
    registered = register_pipelines()
    assert set(registered) == LEAVES | {"text", "video", "__default__"}
    assert all(registered[name].nodes for name in registered)


def test_composites_hold_the_nodes_of_their_parts():
    registered = register_pipelines()
    for name, parts in COMPOSITES.items():
        assert set(registered[name].nodes) == {node for part in parts for node in registered[part].nodes}
    assert set(registered["__default__"].nodes) == {
        node for leaf in LEAVES - set(BY_NAME_ONLY) for node in registered[leaf].nodes
    }


def test_what_writes_checkpoints_is_tagged():
    found = {
        node.name.rpartition(".")[2]
        for pipeline in register_pipelines().values()
        for node in pipeline.nodes
        if RESUMABLE in node.tags
    }
    assert found == {
        "fine_tune_encoders",
        "ingest_corpus",
        "pretrain_bert",
        "pretrain_moco",
        "train_detector",
        "train_word_vectors",
    }


@pytest.mark.parametrize(
    "chain", [("text", "prolepsis.pipelines.video_ingestion"), ("report", "torch"), ("downstream", "sklearn")]
)
def test_a_pipeline_is_registered_without_loading_what_it_does_not_need(chain: tuple[str, str]):
    name, unwanted = chain
    code = (
        "import sys; from prolepsis.pipeline_registry import register_pipelines; "
        f"register_pipelines()[{name!r}]; sys.exit({unwanted!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("slow", ["torch", "great_expectations", "torchvision", "matplotlib", "numba", "av"])
def test_building_all_pipelines_imports_nothing_slow(slow: str):
    code = (
        "import sys; from prolepsis.pipeline_registry import register_pipelines; "
        f"register_pipelines()['__default__']; sys.exit({slow!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
