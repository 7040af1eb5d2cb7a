"""A task is checked before anything learns from it."""

import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.text.downstream.tasks import Example, examples_table, make_task, set_aside, tasks_of

from .conftest import classes, pairs, questions, tags


def labelled(*labels: str) -> list[Example]:
    return [Example(f"row {n}", (label,), text=f"text {n}") for n, label in enumerate(labels, 1)]


def good() -> dict[str, list[Example]]:
    return {"train": labelled("a", "b"), "validation": labelled("a"), "test": labelled("b")}


def test_labels_are_those_of_the_training_split_in_order() -> None:
    splits = good() | {"train": labelled("z", "b", "a")}
    assert make_task("t", "sequence_classification", splits).labels == ("a", "b", "z")
    assert make_task("t", "sequence_classification", splits, ["z", "b", "a"]).labels == ("z", "b", "a")
    with pytest.raises(ProlepsisError, match="The label 'b' stands twice"):
        make_task("t", "sequence_classification", splits, ["a", "b", "z", "b"])


def test_labels_that_no_training_example_has_are_nothing_to_learn() -> None:
    splits = good() | {"train": labelled("a", "a")}
    with pytest.raises(ProlepsisError, match="only the label 'a'"):
        make_task("t", "sequence_classification", splits, ["a", "b"])


@pytest.mark.parametrize(
    ("changes", "message", "where"),
    [
        ({"test": labelled("a", "c")}, "The label 'c' in the split 'test' .* a, b", "row 2"),
        ({"validation": labelled("A")}, "The label 'A' in the split 'validation'", "row 1"),
        ({"train": labelled("a", "a"), "test": labelled("a")}, "only the label 'a'", "train"),
        ({"validation": []}, "The split 'validation' .* is empty", "downstream.tasks.t"),
        ({"train": [*labelled("a", "b"), Example("row 9", ("a",), text=" \n")]}, "empty text", "row 9"),
        ({"train": [*labelled("a", "b"), Example("row 9", (), text="x")]}, "has 0 labels, not 1", "row 9"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused_with_its_place(
    changes: dict[str, list[Example]], message: str, where: str
) -> None:
    with pytest.raises(ProlepsisError, match=message) as refusal:
        make_task("t", "sequence_classification", good() | changes)
    assert where in str(refusal.value.where)
    assert refusal.value.remedy


def test_words_and_tags_must_go_together() -> None:
    whole = [Example("row 1", ("N", "V"), words=("dogs", "bark"))]
    for example, message in (
        (Example("row 2", ("N",), words=("dogs", "bark")), "has 1 labels, not 2"),
        (Example("row 2", ("N", "V"), words=("dogs", "")), "empty word"),
        (Example("row 2", (), words=()), "empty word"),
    ):
        with pytest.raises(ProlepsisError, match=message):
            make_task("t", "token_tagging", {"train": whole, "validation": whole, "test": [example]})


def test_a_pair_needs_both_texts() -> None:
    half = [Example("row 1", ("a",), text="one"), Example("row 2", ("b",), text="two", second_text="x")]
    splits = {"train": half, "validation": half, "test": half}
    with pytest.raises(ProlepsisError, match="empty text"):
        make_task("t", "sequence_pair_classification", splits)


def test_examples_go_through_a_table_unchanged() -> None:
    tasks = [classes(), pairs(), tags(), questions()]
    assert tasks_of(examples_table(tasks)) == tasks


def test_what_is_set_aside_depends_on_the_text_and_not_on_the_order() -> None:
    examples = [Example(f"row {n}", ("a",), text=f"text {n % 400}") for n in range(2000)]
    kept, aside = set_aside(examples, 0.2, seed=1)
    assert set_aside(examples[::-1], 0.2, seed=1) == (kept[::-1], aside[::-1])
    assert {one.text for one in kept}.isdisjoint(one.text for one in aside)
    assert 300 < len(aside) < 500
    assert set_aside(examples, 0.2, seed=2)[1] != aside
