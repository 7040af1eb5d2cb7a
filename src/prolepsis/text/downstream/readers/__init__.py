"""Files to examples: tables, tagged lines, CoNLL-U, SQuAD's JSON and RTE's XML."""

from collections.abc import Callable
from pathlib import Path

from prolepsis.errors import ProlepsisError
from prolepsis.text.downstream.config import (
    SPLITS,
    TRAIN,
    VALIDATION,
    ColumnNames,
    FileFormat,
    Kind,
    SplitFiles,
    TaskConfig,
)
from prolepsis.text.downstream.readers.conllu import read_conllu
from prolepsis.text.downstream.readers.rte import read_rte
from prolepsis.text.downstream.readers.squad import read_squad
from prolepsis.text.downstream.readers.tables import read_table
from prolepsis.text.downstream.readers.tagged_lines import read_tagged_lines
from prolepsis.text.downstream.tasks import DownstreamTask, Example, make_task, set_aside

_FORMATS: dict[str, FileFormat] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".conllu": "conllu",
    ".json": "squad",
    ".xml": "rte_xml",
}
_SPECIAL: dict[FileFormat, tuple[Kind, Callable[[Path, ColumnNames], list[Example]]]] = {
    "conllu": ("token_tagging", lambda path, columns: read_conllu(path, columns.labels)),
    "squad": ("question_answering", lambda path, _: read_squad(path)),
    "rte_xml": ("sequence_pair_classification", lambda path, _: read_rte(path)),
}


def read_task(name: str, config: TaskConfig, seed: int) -> DownstreamTask:
    """The task that a user's files hold; `seed` decides what is set aside for validation.

    Raises:
        ProlepsisError: a file is missing or broken, or what it holds is not such a task (see `make_task`).
    """
    files: dict[str, SplitFiles | None] = dict(
        zip(SPLITS, (config.train, config.validation, config.test), strict=True)
    )
    splits = {
        split: [example for path in one.path for example in read_file(path, config.kind, one)]
        for split, one in files.items()
        if one is not None
    }
    if VALIDATION not in splits:
        splits[TRAIN], splits[VALIDATION] = set_aside(splits[TRAIN], config.validation_share, seed)
    return make_task(name, config.kind, splits, config.labels)


def read_file(path: Path, kind: Kind, files: SplitFiles) -> list[Example]:
    """The examples of one file.

    Raises:
        ProlepsisError: it is missing, of a format that does not hold such examples, or broken.
    """
    if not path.is_file():
        raise ProlepsisError(
            "There is no such file.", where=path, remedy="give the path of a file with labelled examples"
        )
    file_format = files.format or _FORMATS.get(path.suffix.lower())
    if file_format is None:
        raise ProlepsisError(
            f"What is in a file called *{path.suffix} is not known.",
            where=path,
            remedy=f"name it one of {', '.join(_FORMATS)}, or write its 'format'",
        )
    if file_format in _SPECIAL:
        held, read = _SPECIAL[file_format]
        if held != kind:
            raise ProlepsisError(
                f"A {file_format} file holds examples of {held}, not of {kind}.",
                where=path,
                remedy=f"write 'kind: {held}', or give another file",
            )
        return read(path, files.columns)
    if kind == "token_tagging" and file_format == "tsv":
        return read_tagged_lines(path, files.columns)
    return read_table(path, file_format, kind, files.columns)
