"""How well a pretrained model predicts hidden tokens, by one measure for all objectives."""

import math
from typing import Any

import numpy as np
import torch

from prolepsis.errors import ProlepsisError
from prolepsis.text.bert.objectives.masked import VALIDATION_PROBABILITY, cross_entropy
from prolepsis.text.bert.objectives.roberta import RobertaObjective
from prolepsis.text.token_shards import TokenSplit
from prolepsis.text.tokenizers import Tokenizer

_SEED = 0


def predict_hidden_tokens(
    model: Any,
    tokenizer: Tokenizer,
    split: TokenSplit,
    *,
    max_length: int,
    max_rows: int,
    batch_size: int,
) -> dict[str, float]:
    """Hides single tokens, 15 % of runs of full sentences, always the same ones, as BERT does.

    Args:
        model: with a method `predict_masked`, such as `BertForPretraining`.

    Returns:
        `pseudo_perplexity`, the exponential of the mean loss in nats, and `bits_per_byte`, that loss times
        the split's tokens per byte of text, which models with different tokenizers can be compared by. (It
        is no code length: what surrounds a hidden token is known on both sides, save 15 %.) Where the shards
        do not tell the bytes, only the first.

    Raises:
        ProlepsisError: the split has no tokens.
    """
    config = RobertaObjective.Config(max_length=max_length, mlm_probability=VALIDATION_PROBABILITY)
    plan = RobertaObjective(config, tokenizer).plan(split, _SEED, 0)
    if not len(plan):
        raise ProlepsisError("There is nothing to predict: no tokens.", where=f"split {split.name!r}")
    device = next(model.parameters()).device
    total, count = 0.0, 0.0
    model.eval()
    for start in range(0, min(max_rows, len(plan)), batch_size):
        rows = np.arange(start, min(start + batch_size, max_rows, len(plan)))
        batch = plan.batch(rows).to(device)
        with torch.no_grad():
            loss = cross_entropy(model.predict_masked(batch), batch.masked_targets)
        total += float(loss.total)
        count += loss.count
    mean = total / count
    figures = {"pseudo_perplexity": math.exp(mean)}
    if split.num_bytes is not None:
        figures["bits_per_byte"] = mean / math.log(2) * split.num_tokens / split.num_bytes
    return figures
