"""`documents` to `<variant>.tokenizer`, `<variant>.tokens` and their report, for each variant."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from prolepsis.pipelines.tokenization.nodes import (
    compare_tokenizers,
    encode_documents,
    evaluate_tokenizer,
    sweep_vocabulary_sizes,
    train_tokenizer,
)
from prolepsis.variants import VARIANTS


def create_pipeline(**_: Any) -> Pipeline:
    """A namespace for each variant of `prolepsis.variants.VARIANTS["tokenization"]`, and their comparison."""
    names = VARIANTS["tokenization"]
    compare = Node(
        compare_tokenizers,
        {name: f"{name}.vocabulary_sweep" for name in names},
        "tokenizer_comparison",
        name="compare_tokenizers",
    )
    return sum((_variant(name) for name in names), Pipeline([compare]))


def _variant(name: str) -> Pipeline:
    return Pipeline(
        [
            Node(train_tokenizer, ["documents", "params:tokenizer"], "tokenizer", name="train_tokenizer"),
            Node(encode_documents, ["documents", "tokenizer"], "tokens", name="encode_documents"),
            Node(
                sweep_vocabulary_sizes,
                ["documents", "params:tokenizer"],
                "vocabulary_sweep",
                name="sweep_vocabulary_sizes",
            ),
            Node(
                evaluate_tokenizer,
                ["documents", "tokenizer"],
                ["tokenization_metrics", "tokenization_table"],
                name="evaluate_tokenizer",
            ),
        ],
        namespace=name,
        inputs={"documents"},
        parameters={"params:tokenizer": f"params:tokenization.{name}"},
    )
