"""The pipeline downstream, from documents and models to the table that compares them."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from prolepsis.pipelines.downstream import create_pipeline
from prolepsis.pipelines.downstream.params import DownstreamParams
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.heads import BertForPretraining
from prolepsis.text.bert.hugging_face import PretrainedBert
from prolepsis.text.downstream.model import FineTunedModel
from prolepsis.text.tokenizers.word_level import WordLevelTrainer
from prolepsis.text.tokenizers.wordpiece import WordPieceTrainer
from prolepsis.text.word2vec.vectors import WordVectors, unique_names

from support import Project, copy_project

PROGRAM = Path(__file__).with_name("killed_downstream.py")
METHODS = {"majority", "tf_idf", "word_vectors", "encoder", "untrained_encoder"}
ALPHABETS = {"en": ("ba", "do", "ki"), "fr": ("lu", "mé", "no"), "es": ("pa", "qu", "ñi")}


def documents() -> pl.DataFrame:
    """Sentences of syllables, of which each language has its own."""
    random = np.random.default_rng(0)
    rows = []
    for language, syllables in ALPHABETS.items():
        for number in range(90):
            words = ["".join(random.choice(syllables, size=2)) for _ in range(30)]
            split = "val" if number % 4 == 0 else "train"
            rows.append((f"{language}-{number}", " ".join(words), language, "made up", split))
    frame = pl.DataFrame(rows, schema=["id", "text", "language", "source", "split"], orient="row")
    text = pl.col("text")
    return frame.with_columns(
        num_characters=text.str.len_chars(),
        num_words=text.str.count_matches(r"\S+"),
        num_bytes=text.str.len_bytes(),
    )


@pytest.fixture
def prepared(project: Any) -> Any:
    return prepare(project)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project in which the pipeline has run; for tests that only look at it."""
    path = copy_project(tmp_path_factory.mktemp("downstream") / "project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        project = prepare(Project(path))
        project.run("downstream")
        yield project


def prepare(project: Project) -> Project:
    """A project with a corpus, an encoder that has learnt nothing, and word vectors drawn at random."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    corpus = documents()
    texts = [corpus["text"].to_list()]
    wordpiece = WordPieceTrainer(WordPieceTrainer.Config(vocabulary_size=120)).train(texts)
    word_level = WordLevelTrainer(WordLevelTrainer.Config()).train(texts)
    config = BertConfig(
        vocab_size=wordpiece.vocabulary_size,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    project.save("documents", corpus)
    project.save("word_level.tokenizer", word_level)
    project.save("bert_model", PretrainedBert.of(BertForPretraining(config), wordpiece))
    names = unique_names(word_level.words(), range(word_level.vocabulary_size))
    vectors = np.random.default_rng(1).normal(size=(len(names), 8)).astype(np.float32)
    counts = np.arange(len(names), 0, -1)
    project.save("word_vectors", WordVectors(names, counts, [None] * len(names), vectors))
    return project


def test_the_graph_goes_from_documents_and_models_to_scores() -> None:
    pipeline = create_pipeline()
    assert pipeline.inputs() == {
        "documents",
        "bert_model",
        "word_vectors",
        "word_level.tokenizer",
        "params:downstream",
    }
    assert pipeline.outputs() == {
        "downstream_curves",
        "downstream_models",
        "downstream_per_class",
        "downstream_picture",
        "downstream_scores",
    }


def test_nothing_slow_is_imported_for_the_graph() -> None:
    code = (
        "import sys; from prolepsis.pipelines.downstream import create_pipeline; create_pipeline(); "
        "print([name for name in ('torch', 'sklearn', 'matplotlib', 'numba') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_a_run_compares_all_methods_on_tasks_made_of_the_corpus(finished: Project) -> None:
    scores = finished.load("downstream_scores")
    for task in ("language", "section"):
        assert set(scores.filter(task=task)["method"]) == METHODS
    runs = scores.filter(task="language", split="test", metric="accuracy")
    assert runs.filter(method="encoder")["seed"].sort().to_list() == [0, 1]
    assert runs.filter(method="tf_idf")["seed"].to_list() == [None]
    metrics = finished.load("downstream_metrics")
    said = metrics["tasks"]["language"]["methods"]["encoder"]
    values = runs.filter(method="encoder")["value"].to_numpy()
    assert said["test"]["accuracy"] == pytest.approx(values.mean())
    assert said["test"]["accuracy_deviation"] == pytest.approx(values.std(ddof=1))
    assert "accuracy_deviation" not in metrics["tasks"]["language"]["methods"]["tf_idf"]["test"]
    assert metrics["tasks"]["language"]["examples"]["test"] == 30
    assert finished.load("downstream_picture").startswith(b"\x89PNG")
    assert not list((finished.path / "checkpoints").rglob("*.safetensors"))
    curves = finished.load("downstream_curves")
    assert len(curves) == 2 * 2 * 2 * 2  # tasks, methods, seeds, epochs


def test_no_document_is_in_two_splits_and_the_test_is_of_the_corpus_held_out(finished: Project) -> None:
    examples = finished.load("downstream_examples")
    split_of = {f"document {name}": split for name, split in finished.load("documents").select(
        "id", "split").collect().iter_rows()}  # fmt: skip
    for task in ("language", "section"):
        part = examples.filter(task=task)
        assert part["source"].n_unique() == len(part)
        for source, split in part.select("source", "split").iter_rows():
            assert split_of[source] == ("val" if split == "test" else "train")


def test_the_saved_model_says_what_the_run_said(finished: Project) -> None:
    model = FineTunedModel.load(finished.load("downstream_models") / "language")
    examples = finished.load("downstream_examples").filter(task="language", split="test").sort("example")
    said = finished.load("downstream_predictions").filter(
        task="language", method="encoder", split="test", seed=model.metadata["seed"]
    )
    expected = [one[0] for one in said.sort("example")["prediction"].to_list()]
    assert model.predict(examples["text"].to_list(), device="cpu") == expected


def outcome(project: Project) -> list[bytes]:
    """What a run wrote, as bytes."""
    data = project.path / "data" / "test"
    files = [
        data / "07_model_output" / "downstream" / "predictions.parquet",
        data / "06_models" / "downstream" / "section" / "model.safetensors",
        data / "08_reporting" / "downstream" / "curves.json",
    ]
    return [file.read_bytes() for file in files]


def test_running_again_gives_the_same_bytes(finished: Project) -> None:
    first = outcome(finished)
    finished.run("downstream")
    assert outcome(finished) == first


def test_a_run_killed_and_started_again_does_only_what_was_not_done(finished: Project) -> None:
    def run(kill_at: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(PROGRAM), str(finished.path), str(kill_at)]
        return subprocess.run(
            command, capture_output=True, timeout=300, check=False, text=True, cwd=finished.path
        )

    first = outcome(finished)
    # Eight fine-tunings of eight steps: the third is killed in its second epoch.
    assert run(2 * 8 + 6).returncode == -signal.SIGKILL
    folders = [path.name for path in (finished.path / "checkpoints" / "test" / "downstream").iterdir()]
    assert sorted(folders) == ["language-encoder-0", "language-encoder-1", "language-untrained_encoder-0"]
    again = run(-1)
    assert again.returncode == 0
    # Two are found finished, and of the third its first epoch.
    assert int(again.stdout.split()[-1]) == 8 * 8 - (2 * 8 + 4)
    assert outcome(finished) == first


def test_a_task_of_a_users_own_files_takes_the_place_of_the_demo(prepared: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    for split, count in (("train", 60), ("test", 20)):
        rows = [
            {"sentence": " ".join(random.choice(["baba", "lulu", "papa"], size=4)) + f" {n}", "sense": n % 2}
            for n in range(count)
        ]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    columns = {"text": "sentence", "label": "sense"}
    own = {
        "kind": "sequence_classification",
        "train": {"path": str(tmp_path / "train.jsonl"), "columns": columns},
        "test": {"path": str(tmp_path / "test.jsonl"), "columns": columns},
        "validation_share": 0.3,
    }
    tasks = {"language": None, "section": None, "sense": own}
    prepared.run("downstream", params={"downstream": {"tasks": tasks, "seeds": [5]}})
    metrics = prepared.load("downstream_metrics")
    assert list(metrics["tasks"]) == ["sense"]
    assert sum(metrics["tasks"]["sense"]["examples"].values()) == 80
    assert "matthews" in metrics["tasks"]["sense"]["methods"]["encoder"]["test"]


def test_a_corpus_of_one_language_leaves_that_task_out_and_says_so(
    prepared: Any, caplog: pytest.LogCaptureFixture
) -> None:
    prepared.save("documents", documents().filter(language="en"))
    prepared.run("downstream", params={"downstream": {"seeds": [0]}})
    assert list(prepared.load("downstream_metrics")["tasks"]) == ["section"]
    assert "only the language 'en'" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": {"language": {"kind": "sequence_clasification"}}}, "sequence_classification"),
        ({"tasks": {"language": {"corpus": {"words": 0}}}}, "words"),
        ({"tasks": {"language": {"train": {"path": "x.tsv"}}}}, "either 'corpus' or files"),
        ({"tasks": {"language": {"kind": "token_tagging"}}}, "is a sequence_classification"),
        ({"tasks": {"own": {"kind": "token_tagging", "train": {"path": "x.conllu"}}}}, "needs 'train'"),
        ({"tasks": {"language": {"training": {"epoch": 3}}}}, "epoch"),
        ({"tasks": {"language": None, "section": None}}, "there is no task"),
        ({"seeds": [1, 1]}, "two of the seeds are the same"),
        ({"fine_tuning": {"pooling": "max"}}, "pooling"),
    ],
)
def test_a_wrong_parameter_is_refused_by_its_name(
    project: Any, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(Exception, match=message):
        project.run("downstream", params={"downstream": changes})


def test_a_task_may_be_trained_otherwise_than_the_others(project: Any) -> None:
    parameters: DownstreamParams = project.catalog().load("params:downstream")
    task = parameters.tasks["language"]
    assert task is not None
    changed = task.model_copy(update={"training": {"epochs": 7, "optimizer": {"learning_rate": 0.5}}})
    training = parameters.training_of(changed)
    assert training.epochs == 7
    assert training.optimizer.learning_rate == 0.5
    assert training.optimizer.name == parameters.training.optimizer.name
    assert training.batch_size == parameters.training.batch_size
