"""The kinds of tasks, each a file: its rows, its loss and how its predictions are read."""

from collections.abc import Sequence

from prolepsis.text.downstream.config import FineTuningConfig, Kind
from prolepsis.text.downstream.heads.answers import AnswerHead
from prolepsis.text.downstream.heads.base import Head
from prolepsis.text.downstream.heads.sequences import SequenceHead
from prolepsis.text.downstream.heads.tagging import TaggingHead
from prolepsis.text.tokenizers import Tokenizer

__all__ = ["Head", "build_head"]


def build_head(kind: Kind, tokenizer: Tokenizer, config: FineTuningConfig, labels: Sequence[str]) -> Head:
    """The head of one kind of task, for a tokenizer and a set of labels.

    Raises:
        ProlepsisError: the tokenizer lacks [CLS], [SEP] or [PAD].
    """
    if kind == "token_tagging":
        return TaggingHead(tokenizer, config, labels)
    if kind == "question_answering":
        return AnswerHead(tokenizer, config)
    return SequenceHead(tokenizer, config, labels, pairs=kind == "sequence_pair_classification")
