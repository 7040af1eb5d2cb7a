"""Questions on paragraphs, in SQuAD's JSON (version 1.1: every question has an answer in its paragraph)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prolepsis.errors import ProlepsisError
from prolepsis.files import read_json
from prolepsis.text.downstream.readers.questions import question_example
from prolepsis.text.downstream.tasks import Example


def read_squad(path: Path) -> list[Example]:
    """An example for each question: its paragraph as `text`, the question as `second_text`.

    Raises:
        ProlepsisError: the file is not such JSON, a question has no answer, or an answer does not stand in
            the paragraph where it is said to begin.
    """
    try:
        data = read_json(path)["data"]
        return [
            _example(paragraph["context"], question, path)
            for article in data
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ProlepsisError(
            f"This is not JSON of SQuAD's form: {type(error).__name__}: {error}",
            where=path,
            remedy="data[].paragraphs[].{context, qas[].{id, question, answers[].{text, answer_start}}}",
        ) from error


def _example(context: str, question: Mapping[str, Any], path: Path) -> Example:
    if not isinstance(context, str) or not isinstance(question["question"], str):
        raise TypeError("a context and a question are texts")
    answers = [] if question.get("is_impossible") else question["answers"]
    return question_example(
        f"{path}, question {question['id']}",
        context,
        question["question"],
        [answer["text"] for answer in answers],
        [answer["answer_start"] for answer in answers],
    )
