"""The graph of BERT's pretraining."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from prolepsis.pipelines.bert.nodes import draw_losses, pretrain_bert


def create_pipeline(**_: Any) -> Pipeline:
    """From the WordPiece tokens to `bert_model`, its curves, its figures and a picture."""
    return Pipeline(
        [
            Node(
                pretrain_bert,
                ["wordpiece.tokenizer", "wordpiece.tokens", "params:bert"],
                ["bert_model", "bert_curves", "bert_metrics"],
                name="pretrain_bert",
                tags="resumable",
            ),
            Node(draw_losses, "bert_curves", "bert_loss_picture", name="draw_losses"),
        ]
    )
