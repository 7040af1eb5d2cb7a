"""Pretrain the model, and draw how its loss fell."""

from typing import Any

from prolepsis.pipelines.bert.params import BertParams


def pretrain_bert(
    tokenizer: Any, tokens: Any, parameters: BertParams
) -> tuple[Any, list[dict[str, float]], dict[str, float | None]]:
    """The model of the best epoch, a row of figures per epoch, and the final figures."""
    from prolepsis.text.bert.pretraining import pretrain

    objective = parameters.objective.load()(parameters.objective.configuration(), tokenizer)
    result = pretrain(
        tokenizer,
        tokens,
        objective,
        parameters.model,
        parameters.training,
        steps_per_epoch=parameters.steps_per_epoch,
        validation_rows=parameters.validation_rows,
        length_warmup=parameters.length_warmup,
    )
    return result.model, result.curves, result.metrics


def draw_losses(curves: list[dict[str, float]]) -> Any:
    """The loss on the hidden tokens, in training and validation, beside what token frequencies alone give."""
    from prolepsis.text.bert.pictures import draw_losses as draw

    return draw(curves)
