import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from prolepsis.pipelines.bert import create_pipeline
from prolepsis.text.tokenizers.encoding import encode
from prolepsis.text.tokenizers.wordpiece import WordPieceTrainer

PROGRAM = Path(__file__).with_name("killed_bert.py")
OUTPUTS = {"bert_model", "bert_curves", "bert_metrics", "bert_loss_picture"}


@pytest.fixture
def encoded(project: Any) -> Any:
    """The project with the tokenizer and the tokens of a small corpus."""
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    words = [f"{a}{b}" for a in ("ba", "do", "ki", "lu", "me") for b in ("ra", "ne", "so", "ti")]

    def sentence() -> str:
        return " ".join(random.choice(words, size=random.integers(4, 12))) + "."

    texts = [" ".join(sentence() for _ in range(random.integers(1, 7))) for _ in range(150)]
    splits = ["val" if number % 10 == 0 else "train" for number in range(len(texts))]
    names = [str(number) for number in range(len(texts))]
    columns = {"id": names, "text": texts, "language": "en", "split": splits}
    documents = pl.LazyFrame(columns).with_columns(num_bytes=pl.col("text").str.len_bytes())
    tokenizer = WordPieceTrainer(WordPieceTrainer.Config(vocabulary_size=100)).train([texts])
    project.save("wordpiece.tokenizer", tokenizer)
    project.save("wordpiece.tokens", encode(documents, tokenizer))
    return project


def test_the_graph_goes_from_wordpiece_tokens_to_the_model_and_its_figures() -> None:
    pipeline = create_pipeline()
    assert pipeline.inputs() == {"wordpiece.tokenizer", "wordpiece.tokens", "params:bert"}
    assert pipeline.outputs() | {"bert_curves"} == OUTPUTS


def test_nothing_slow_is_imported_for_the_graph() -> None:
    code = (
        "import sys; from prolepsis.pipelines.bert import create_pipeline; create_pipeline(); "
        "print([name for name in ('torch', 'transformers', 'matplotlib', 'numba') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_a_run_writes_the_model_and_what_a_person_would_look_at(encoded: Any) -> None:
    encoded.run("bert")
    metrics, curves = encoded.load("bert_metrics"), encoded.load("bert_curves")
    assert [row["step"] for row in curves] == [10, 20]
    best = min(curves, key=lambda row: row["validation_loss"])
    assert metrics["best_epoch"] == best["epoch"]
    assert metrics["validation_masked_loss"] == best["validation_masked_loss"]
    assert metrics["steps"] == 20
    assert 0 < metrics["unigram_entropy"] < np.log(metrics["num_parameters"])
    assert encoded.load("bert_loss_picture").startswith(b"\x89PNG")
    model = encoded.load("bert_model")
    assert model.metadata["metrics"] == metrics
    assert model.tokenizer == encoded.load("wordpiece.tokenizer")
    assert not list((encoded.path / "checkpoints").rglob("*.safetensors"))


# One of each kind: a pair of models, an encoder and a decoder, another question about pairs. What all of them
# write is tested in text/bert/test_hugging_face.py.
@pytest.mark.parametrize("objective", ["electra", "bart", "albert_sop"])
def test_another_objective_is_a_word_in_the_parameters(encoded: Any, objective: str) -> None:
    encoded.run("bert", params={"bert": {"objective": {"plugin": objective}, "training": {"epochs": 1}}})
    metrics = encoded.load("bert_metrics")
    assert metrics["steps"] == 10
    assert 0 < metrics["validation_masked_loss"] < 2 * np.log(1000)
    assert 0 < metrics["model_flop_utilisation"] < 1
    assert ("bits_per_byte" in metrics) == (objective != "bart")
    assert encoded.load("bert_model").encoder.config.hidden_size == 32


def test_transformers_fills_in_a_mask_with_what_was_written(encoded: Any) -> None:
    transformers = pytest.importorskip("transformers")
    encoded.run("bert")
    folder = encoded.path / "data" / "test" / "06_models" / "bert"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model, loading = transformers.AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert isinstance(model, transformers.RoFormerForMaskedLM)
    assert not loading["missing_keys"]
    fill = transformers.pipeline("fill-mask", model=model, tokenizer=tokenizer, device="cpu")
    answers = fill("bara nedo [MASK].", top_k=3)
    assert len(answers) == 3
    assert answers[0]["score"] > 0


def test_a_run_killed_and_started_again_gives_the_same_figures_and_weights(encoded: Any) -> None:
    def run(kill_at: int) -> int:
        command = [sys.executable, str(PROGRAM), str(encoded.path), str(kill_at)]
        return subprocess.run(command, capture_output=True, timeout=300, check=False).returncode

    def outcome() -> tuple[Any, Any, bytes]:
        metrics = encoded.load("bert_metrics")
        for of_the_clock in ("real_tokens_per_second", "model_flop_utilisation"):
            metrics.pop(of_the_clock)
        weights = encoded.path / "data" / "test" / "06_models" / "bert" / "model.safetensors"
        return metrics, encoded.load("bert_curves"), weights.read_bytes()

    # In the second epoch, two steps behind a checkpoint.
    assert run(17) == -signal.SIGKILL
    assert list((encoded.path / "checkpoints" / "test" / "bert").glob("step-*15*"))
    assert not (encoded.path / "data" / "test" / "08_reporting" / "bert").exists()
    assert run(-1) == 0
    resumed = outcome()
    encoded.run("bert")
    assert outcome() == resumed


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"model": {"hidden_size": "abc"}}, "hidden_size"),
        ({"model": {"hidden_size": 33}}, "must be a multiple"),
        ({"model": {"hiden_size": 32}}, "hiden_size"),
        ({"objective": {"plugin": "mlm_nps"}}, "mlm_nsp"),
        ({"objective": {"config": {"max_length": "long"}}}, "max_length"),
        ({"training": {"epoch": 3}}, "epoch"),
    ],
)
def test_a_wrong_parameter_is_refused_by_its_name(project: Any, params: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match=message):
        project.run("bert", params={"bert": params})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"model": {"vocab_size": 20}}, "the model embeds only 20"),
        (
            {"model": {"max_position_embeddings": 32, "position_embedding_type": "absolute"}},
            "do not fit 32 position embeddings",
        ),
        ({"training": {"batch_size": 10_000}}, "fewer than a batch of 10000"),
    ],
)
def test_what_does_not_fit_the_tokens_stops_the_run_before_it_trains(
    encoded: Any, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(Exception, match=message):
        encoded.run("bert", params={"bert": params})
    assert not (encoded.path / "data" / "test" / "06_models" / "bert").exists()
