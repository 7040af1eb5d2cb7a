"""Questions whose answers stand in a paragraph, whatever file they come from."""

from collections.abc import Sequence

from prolepsis.errors import ProlepsisError
from prolepsis.text.downstream.tasks import Example


def question_example(
    source: str, context: str, question: str, answers: Sequence[str], starts: Sequence[int]
) -> Example:
    """The paragraph as `text`, the question as `second_text`, the answers as labels.

    Args:
        source: where the question stands, for messages.
        answers: all that are right.
        starts: the character of the paragraph, counted from 0, where each answer begins.

    Raises:
        ProlepsisError: there is no answer, or one does not stand in the paragraph where it is said to begin.
    """
    if not answers:
        raise ProlepsisError(
            "The question has no answer.",
            where=source,
            remedy="take such questions out: only those are asked whose answer stands in the paragraph",
        )
    for answer, start in zip(answers, starts, strict=True):
        if not answer.strip() or start < 0 or context[start : start + len(answer)] != answer:
            raise ProlepsisError(
                f"The answer {answer!r} does not stand at character {start} of its paragraph, "
                f"where there is {context[max(start, 0) : start + len(answer)]!r}.",
                where=source,
                remedy="mend where the answer begins (counted in characters, from 0) or the answer",
            )
    return Example(
        source, labels=tuple(answers), text=context, second_text=question, answer_starts=tuple(starts)
    )
