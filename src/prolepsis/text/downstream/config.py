"""What a user writes of downstream tasks; apart from what computes, so that it is checked without torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from prolepsis.training.config import TrainingConfig

Kind = Literal[
    "sequence_classification", "sequence_pair_classification", "token_tagging", "question_answering"
]
FileFormat = Literal["parquet", "csv", "tsv", "jsonl", "conllu", "squad", "rte_xml"]
TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
SCORED_SPLITS = (VALIDATION, TEST)
ENCODER, UNTRAINED_ENCODER = "encoder", "untrained_encoder"


class ColumnNames(BaseModel):
    """Where a file keeps what.

    Attributes:
        text: the sentence, or the first of a pair.
        second_text: the second of a pair.
        label: the class.
        words: for tagging, a list of words.
        labels: for tagging, a list of as many labels. In a CoNLL-U file: `upos` or `xpos`.
        context: for questions, the paragraph that the answers stand in.
        question: what is asked of it.
        answers: a list of all that is right, as it stands there.
        answer_starts: a list of the character, counted from 0, where each of them begins.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = "text"
    second_text: str = "second_text"
    label: str = "label"
    words: str = "words"
    labels: str = "labels"
    context: str = "context"
    question: str = "question"
    answers: str = "answers"
    answer_starts: str = "answer_starts"


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str | Path) else value


class SplitFiles(BaseModel):
    """The files of one split.

    Attributes:
        path: a file, or several that are read one after the other.
        format: null: by the file's suffix, `.parquet .csv .tsv .jsonl .conllu .json .xml` (the last two are
            SQuAD's and RTE's).
        columns: their names.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Annotated[tuple[Path, ...], BeforeValidator(_listed), Field(min_length=1)]
    format: FileFormat | None = None
    columns: ColumnNames = ColumnNames()


class Sizes(BaseModel):
    """How many examples of each split, at most."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: PositiveInt
    validation: PositiveInt
    test: PositiveInt


class CorpusTask(BaseModel):
    """A task made of the corpus itself.

    Attributes:
        made_of: `language`: in which language a passage is written; `section`: whether it comes from the
            first or the last third of its document (opening, end).
        words: how long a passage is, in words between spaces.
        examples: how many passages to cut, one of a document.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    made_of: Literal["language", "section"]
    words: PositiveInt
    examples: Sizes


class TaskConfig(BaseModel):
    """One labelled task: files of a user's own, or passages of the corpus.

    Attributes:
        train, validation, test: files. Without those of validation, `validation_share` of the training
            examples are set aside for it; examples with the same text stay together.
        corpus: instead of files.
        labels: the set of labels, in order; null: those of the training split, sorted.
        max_length: the most tokens in a row; null: that of `fine_tuning`.
        training: what differs from the training of all tasks, such as `{epochs: 5}`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    train: SplitFiles | None = None
    validation: SplitFiles | None = None
    test: SplitFiles | None = None
    validation_share: float = Field(0.1, gt=0, lt=1)
    corpus: CorpusTask | None = None
    labels: tuple[str, ...] | None = None
    max_length: int | None = Field(None, ge=8)
    training: dict[str, Any] = {}

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        files = (self.train, self.validation, self.test)
        if self.corpus is not None and any(files):
            raise ValueError("a task has either 'corpus' or files, not both")
        if self.corpus is not None and self.kind != "sequence_classification":
            raise ValueError("a task made of the corpus is a sequence_classification")
        if self.corpus is None and (self.train is None or self.test is None):
            raise ValueError("a task needs 'train' and 'test' files, or 'corpus'")
        return self


class FineTuningConfig(BaseModel):
    """How text becomes rows of tokens, and what stands on the encoder.

    Attributes:
        max_length: the most tokens in a row, [CLS] and [SEP] counted. What is longer is cut off where one
            label is asked for, and read in overlapping windows where words or answers are.
        head_dropout: of the vectors that the head sees.
        encoder_dropout: in the encoder, of hidden vectors and attention; null: as it was pretrained.
        pooling: which vector stands for a text: that of [CLS], as in BERT, or the mean of all tokens.
        stride: tokens from the start of one window to the next; null: half of what fits.
        max_question_tokens: longer questions are cut off.
        max_answer_tokens: the longest answer that is looked for.
        max_steps: optimizer steps of a training in all, but one an epoch at least; null: no limit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_length: int = Field(128, ge=8)
    head_dropout: float = Field(0.1, ge=0, lt=1)
    encoder_dropout: float | None = Field(0.1, ge=0, lt=1)
    pooling: Literal["cls", "mean"] = "cls"
    stride: PositiveInt | None = None
    max_question_tokens: PositiveInt = 64
    max_answer_tokens: PositiveInt = 30
    max_steps: PositiveInt | None = None


class FineTuningTraining(TrainingConfig):
    """A training whose best epoch is that with the best score on the validation split."""

    monitor: str = "validation_score"
    monitor_mode: Literal["min", "max"] = "max"


class BaselineConfig(BaseModel):
    """The simple methods beside the encoder.

    Attributes:
        regularisation: values of logistic regression's C; the best on the validation split is kept.
        ngrams: TF-IDF counts words and their sequences up to this length.
        suffix_letters: the longest ending by which the tag of an unknown word is guessed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    regularisation: tuple[PositiveFloat, ...] = Field((0.1, 1.0, 10.0), min_length=1)
    ngrams: PositiveInt = 2
    suffix_letters: NonNegativeInt = 4


def with_overrides(training: FineTuningTraining, changes: Mapping[str, Any]) -> FineTuningTraining:
    """A training with some of its values replaced, nested ones too, and checked again.

    Raises:
        pydantic.ValidationError: a value is wrong or unknown.
    """
    return FineTuningTraining.model_validate(_merged(training.model_dump(), changes))


def run_training(training: FineTuningTraining, task: str, method: str, seed: int) -> FineTuningTraining:
    """The training of one seed, with a folder of its own for checkpoints."""
    folder = training.checkpoint_directory / f"{task}-{method}-{seed}"
    return training.model_copy(update={"seed": seed, "checkpoint_directory": folder})


def _merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, change in changes.items():
        known = merged.get(key)
        if isinstance(change, Mapping) and isinstance(known, Mapping):
            merged[key] = _merged(known, change)
        else:
            merged[key] = change
    return merged
