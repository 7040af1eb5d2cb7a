from pathlib import Path
from typing import Any

import polars as pl
import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.pipelines.tokenization import create_pipeline
from prolepsis.pipelines.tokenization.nodes import encode_documents, evaluate_tokenizer, train_tokenizer
from prolepsis.pipelines.tokenization.params import TokenizerParams
from prolepsis.text.token_shards import TokenShards, write_token_shards
from prolepsis.text.tokenizers import Tokenizer

TEXTS = [
    "The train leaves the station. The trainer leaves with it!",
    "Le train quitte la gare. Les élèves attendent l'été.",
    "El tren sale de la estación.\nLlegó mañana.",
    "火车九点离开车站。我们等待。",
]
LANGUAGES = ["en", "fr", "es", "zh"]


@pytest.fixture
def documents() -> pl.DataFrame:
    """Forty documents as corpus_ingestion leaves them, every tenth for validation."""
    texts = [f"{TEXTS[i % 4]} Number {i}." for i in range(40)]
    return pl.DataFrame(
        {
            "id": [f"document-{i:02d}" for i in range(40)],
            "text": texts,
            "language": [LANGUAGES[i % 4] for i in range(40)],
            "source": ["corpus.jsonl"] * 40,
            "split": ["val" if i % 10 in (3, 4) else "train" for i in range(40)],
            "num_characters": [len(text) for text in texts],
            "num_words": [len(text.split()) for text in texts],
            "num_bytes": [len(text.encode()) for text in texts],
        },
        schema_overrides={
            "num_characters": pl.UInt32,
            "num_words": pl.UInt32,
            "num_bytes": pl.UInt32,
        },
    )


def params(plugin: str = "byte_bpe", **values: Any) -> TokenizerParams:
    return TokenizerParams(plugin=plugin, config={"vocabulary_size": 400}, **values)


def test_each_variant_is_a_namespace_with_its_own_datasets_and_parameters() -> None:
    pipeline = create_pipeline()
    verbs = ("train_tokenizer", "encode_documents", "evaluate_tokenizer", "sweep_vocabulary_sizes")
    assert {node.name for node in pipeline.nodes} == {
        "compare_tokenizers",
        *(f"{variant}.{verb}" for variant in ("wordpiece", "byte_bpe", "word_level") for verb in verbs),
    }
    assert pipeline.inputs() == {
        "documents",
        "params:tokenization.wordpiece",
        "params:tokenization.byte_bpe",
        "params:tokenization.word_level",
    }
    kinds = ("tokenizer", "tokens", "tokenization_metrics", "tokenization_table", "vocabulary_sweep")
    assert pipeline.all_outputs() == {
        "tokenizer_comparison",
        *(f"{variant}.{kind}" for variant in ("wordpiece", "byte_bpe", "word_level") for kind in kinds),
    }


def test_the_nodes_make_shards_that_decode_to_the_documents(documents: pl.DataFrame, tmp_path: Path) -> None:
    tokenizer: Tokenizer = train_tokenizer(documents.lazy(), params())
    write_token_shards(tmp_path / "tokens", encode_documents(documents.lazy(), tokenizer))
    shards = TokenShards.open(tmp_path / "tokens")
    shards.require_tokenizer(tokenizer.hash)
    assert shards.vocabulary_size == tokenizer.vocabulary_size
    assert shards.special_ids == tokenizer.special_ids
    for split in ("train", "val"):
        expected = documents.filter(pl.col("split") == split)
        tokens = shards.split(split)
        assert tokens.document_ids == expected["id"].to_list()
        assert tokens.languages == expected["language"].to_list()
        for i, text in enumerate(expected["text"]):
            assert tokenizer.decode(tokens.document(i)) == text
            # Two sentences of the text, and the number.
            assert len(tokens.sentence_starts(i)) == 3
            assert tokens.sentence_starts(i)[0] == 0


def test_a_tokenizer_never_sees_the_validation_split(documents: pl.DataFrame) -> None:
    train_only = documents.filter(pl.col("split") == "train")
    whole = train_tokenizer(documents.lazy(), params("wordpiece"))
    assert train_tokenizer(train_only.lazy(), params("wordpiece")).hash == whole.hash


def test_a_sample_trains_another_tokenizer(documents: pl.DataFrame) -> None:
    whole = train_tokenizer(documents.lazy(), params())
    part = train_tokenizer(documents.lazy(), params(sample_bytes=500, seed=1))
    assert part.hash != whole.hash
    assert part.hash == train_tokenizer(documents.lazy(), params(sample_bytes=500, seed=1)).hash


def test_the_figures_are_those_of_the_validation_split(documents: pl.DataFrame) -> None:
    tokenizer = train_tokenizer(documents.lazy(), params())
    metrics, table = evaluate_tokenizer(documents.lazy(), tokenizer)
    validation = documents.filter(pl.col("split") == "val")
    assert metrics["num_documents"] == validation.height == 8
    assert metrics["exact_round_trip"] == 1.0
    assert metrics["unknown_rate"] == 0.0
    assert metrics["vocabulary_size"] == tokenizer.vocabulary_size
    assert metrics["num_tokens"] == sum(map(len, tokenizer.encode_batch(validation["text"].to_list())))
    assert table["language"].to_list() == ["all", *sorted(set(validation["language"]))]
    assert table["num_tokens"][1:].sum() == metrics["num_tokens"]


def test_a_corpus_without_validation_documents_cannot_be_measured(documents: pl.DataFrame) -> None:
    tokenizer = train_tokenizer(documents.lazy(), params())
    with pytest.raises(ProlepsisError, match="validation split has no documents"):
        evaluate_tokenizer(documents.filter(pl.col("split") == "train").lazy(), tokenizer)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"plugin": "byte_bpee"}, "byte_bpe"),
        ({"plugin": "byte_bpe", "config": {"vocabulary_size": "many"}}, "vocabulary_size"),
        ({"plugin": "byte_bpe", "sample_bytes": 0}, "sample_bytes"),
        ({"plugin": "byte_bpe", "sample": 5}, "sample"),
    ],
)
def test_wrong_parameters_name_their_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match=message):
        TokenizerParams.model_validate(values)


def test_the_pipeline_runs_and_its_results_meet_their_contracts(
    project: Any, documents: pl.DataFrame
) -> None:
    project.save("documents", documents)
    project.run("tokenization")
    for variant in ("wordpiece", "byte_bpe", "word_level"):
        tokenizer = project.load(f"{variant}.tokenizer")
        tokens = project.load(f"{variant}.tokens")
        tokens.require_tokenizer(tokenizer.hash)
        tokens.verify()
        assert project.load(f"{variant}.tokenization_metrics")["num_documents"] == 8
        assert project.load(f"{variant}.tokenization_table")["language"][0] == "all"
        reports = project.path / "data" / "test" / "08_reporting" / "validation"
        assert (reports / f"{variant}.tokenizer.json").is_file()
