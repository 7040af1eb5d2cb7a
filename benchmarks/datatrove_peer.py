"""datatrove's side of `datatrove_filters.py`: runs in an environment of its own, where prolepsis is not.

    PYTHON benchmarks/datatrove_peer.py DOCUMENTS.jsonl ANSWERS.json

Reads a line `{"language": ..., "text": ...}` per document, and the settings of each filter and language from
the first line; writes, for each filter alone and for the four as FineWeb chains them, the reason of each
document (null where it is kept) and the CPU seconds.
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator
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


def answers(documents: Iterable[dict[str, str]], filters: list[Any], dropped: Dropped) -> list[str | None]:
    stream: Iterator[Document] = (
        Document(text=document["text"], id=str(number)) for number, document in enumerate(documents)
    )
    count = 0
    for each in filters:
        stream = each.run(stream)
    for _ in stream:
        count += 1
    return [dropped.reasons.get(str(number)) for number in range(len(list(documents)))]


def main() -> None:
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").split("\n")
    settings = json.loads(lines[0])
    documents = [json.loads(line) for line in lines[1:] if line]
    by_language: dict[str, list[dict[str, str]]] = {}
    for document in documents:
        by_language.setdefault(document["language"], []).append(document)
    result: dict[str, Any] = {}
    for work, names in settings["works"].items():
        reasons: list[str | None] = []
        seconds: dict[str, float] = {}
        for language, group in by_language.items():
            load_word_tokenizer(language).word_tokenize("Loads the rules.")
            dropped = Dropped()
            filters = [
                FILTERS[name](
                    exclusion_writer=dropped,
                    **({} if name == "c4_paragraphs" else {"language": language}),
                    **settings["arguments"].get(f"{work}.{name}", {}),
                    **({"stop_words": settings["stop_words"][language]} if name == "gopher_quality" else {}),
                )
                for name in names
            ]
            start = time.process_time()
            reasons += answers(group, filters, dropped)
            seconds[language] = time.process_time() - start
        result[work] = {"reasons": reasons, "seconds": seconds}
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
