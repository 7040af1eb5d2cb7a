"""`documents` to `<variant>.tokenizer`, `<variant>.tokens` and their report, for each variant."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from prolepsis.pipelines.tokenization.nodes import encode_documents, evaluate_tokenizer, train_tokenizer
from prolepsis.variants import VARIANTS


def create_pipeline(**_: Any) -> Pipeline:
    """One namespace for each variant of `prolepsis.variants.VARIANTS["tokenization"]`."""
    return sum((_variant(name) for name in VARIANTS["tokenization"]), Pipeline([]))


def _variant(name: str) -> Pipeline:
    return Pipeline(
        [
            Node(train_tokenizer, ["documents", "params:tokenizer"], "tokenizer", name="train_tokenizer"),
            Node(encode_documents, ["documents", "tokenizer"], "tokens", name="encode_documents"),
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
