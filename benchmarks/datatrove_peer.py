"""datatrove's side of `datatrove_filters.py`, for an environment in which prolepsis is not installed.

    PYTHON_WITH_DATATROVE benchmarks/datatrove_peer.py DOCUMENTS.jsonl ANSWERS.json

The first line says which filters to run, and the others hold a document each, with `language`, `source` and
`text`. The answers hold for each work the reason of every document (null where it is kept) and the CPU
seconds by source.
"""

import json
import sys
import time
from itertools import groupby
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4ParagraphFilter,
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.utils.word_tokenizers import load_word_tokenizer

FILTERS = {
    "gopher_repetition": GopherRepetitionFilter,
    "gopher_quality": GopherQualityFilter,
    "c4": C4QualityFilter,
    "fineweb": FineWebQualityFilter,
    "c4_paragraphs": C4ParagraphFilter,
}


class Dropped:
    """Takes the place of datatrove's writer of excluded documents."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def __enter__(self) -> "Dropped":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, document: Document, rank: int) -> None:
        self.reasons[document.id] = document.metadata["filter_reason"]


def build(
    name: str, arguments: dict[str, Any], language: str, stop_words: list[str], dropped: Dropped
) -> Any:
    if name != "c4_paragraphs":
        arguments = {**arguments, "language": language}
    if name == "gopher_quality":
        arguments = {**arguments, "stop_words": stop_words}
    return FILTERS[name](exclusion_writer=dropped, **arguments)


def main() -> None:
    question = Path(sys.argv[1]).read_text(encoding="utf-8").split("\n")
    settings = json.loads(question[0])
    documents = [json.loads(line) for line in question[1:] if line]
    answers: dict[str, Any] = {work: {"reasons": [], "seconds": {}} for work in settings["works"]}
    for (source, language), group in groupby(
        documents, lambda document: (document["source"], document["language"])
    ):
        texts = [document["text"] for document in group]
        load_word_tokenizer(language).word_tokenize("Its rules are loaded before the time is taken.")
        for work, filters in settings["works"].items():
            dropped = Dropped()
            stream = (Document(text=text, id=str(number)) for number, text in enumerate(texts))
            for each in filters:
                stop_words = settings["stop_words"][language]
                stream = build(each["name"], each["arguments"], language, stop_words, dropped).run(stream)
            start = time.process_time()
            for _ in stream:
                pass
            answers[work]["seconds"][source] = time.process_time() - start
            answers[work]["reasons"] += [dropped.reasons.get(str(number)) for number in range(len(texts))]
    Path(sys.argv[2]).write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main()
