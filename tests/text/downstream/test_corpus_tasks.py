"""Tasks made of the corpus: whose passages they are, and that no document is on both sides."""

from typing import Any

import polars as pl
import pytest

from prolepsis.text.downstream.config import TaskConfig
from prolepsis.text.downstream.corpus_tasks import corpus_task

SIZES = {"train": 60, "validation": 12, "test": 30}


def documents(languages: tuple[str, ...] = ("en", "es", "fr"), count: int = 120) -> pl.DataFrame:
    """Documents whose words say which language and which place they have: `en-17-3`."""
    rows = [
        (
            f"{language}-{number}",
            " ".join(f"{language}-{number}-{word}" for word in range(20 + number % 7)),
            language,
            "val" if number % 4 == 0 else "train",
        )
        for language in languages
        for number in range(count if language != "fr" else count // 2)
    ]
    return pl.DataFrame(rows, schema=["id", "text", "language", "split"], orient="row")


def task_config(made_of: str, words: int, **sizes: int) -> TaskConfig:
    corpus: dict[str, Any] = {"made_of": made_of, "words": words, "examples": SIZES | sizes}
    return TaskConfig.model_validate({"kind": "sequence_classification", "corpus": corpus})


def test_a_passage_is_of_the_length_and_the_language_that_it_says() -> None:
    task = corpus_task("language", task_config("language", 3), documents().lazy(), seed=1)
    assert task is not None
    assert task.labels == ("en", "es", "fr")
    for split, examples in task.splits.items():
        assert len(examples) == SIZES[split]
        for example in examples:
            words = [word.split("-") for word in example.text.split()]
            assert len(words) == 3
            assert {word[0] for word in words} == set(example.labels)
            places = [int(word[2]) for word in words]
            assert places == list(range(places[0], places[0] + 3))


def test_languages_are_as_frequent_in_every_split_however_many_documents_they_have() -> None:
    task = corpus_task("language", task_config("language", 3), documents().lazy(), seed=1)
    assert task is not None
    for split, examples in task.splits.items():
        labels = [example.labels[0] for example in examples]
        assert {labels.count(language) for language in task.labels} == {SIZES[split] // 3}


def test_no_document_is_in_two_splits_and_the_test_is_of_those_held_out() -> None:
    frame = documents()
    split_of = dict(frame.select("id", "split").iter_rows())
    for made_of in ("language", "section"):
        task = corpus_task(made_of, task_config(made_of, 4), frame.lazy(), seed=1)
        assert task is not None
        sources = [example.source for examples in task.splits.values() for example in examples]
        assert len(set(sources)) == len(sources)
        for split, examples in task.splits.items():
            wanted = "val" if split == "test" else "train"
            assert {split_of[example.source.removeprefix("document ")] for example in examples} == {wanted}


def test_a_section_s_passage_lies_within_its_third() -> None:
    frame = documents()
    lengths = dict(frame.select("id", pl.col("text").str.count_matches(r"\S+")).iter_rows())
    task = corpus_task("section", task_config("section", 5), frame.lazy(), seed=1)
    assert task is not None
    seen = set()
    for example in (*task.splits["train"], *task.splits["test"]):
        places = [int(word.split("-")[2]) for word in example.text.split()]
        length = lengths[example.source.removeprefix("document ")]
        part = {"opening": 0, "end": 2}[example.labels[0]]
        assert length * part // 3 <= places[0] <= places[-1] < length * (part + 1) // 3
        assert len(places) == 5
        seen.add(example.labels[0])
    assert len(seen) == 2


def test_the_order_of_the_documents_makes_no_difference_and_the_seed_does() -> None:
    frame = documents()
    config = task_config("section", 5)
    task = corpus_task("section", config, frame.lazy(), seed=1)
    assert corpus_task("section", config, frame.reverse().lazy(), seed=1) == task
    assert corpus_task("section", config, frame.lazy(), seed=2) != task


def test_too_few_documents_are_divided_in_the_ratio_of_the_sizes() -> None:
    config = task_config("section", 5, train=1000, validation=500, test=1000)
    task = corpus_task("section", config, documents(("en",)).lazy(), seed=1)
    assert task is not None
    assert {split: len(examples) for split, examples in task.splits.items()} == {
        "train": 60,
        "validation": 30,
        "test": 30,
    }


@pytest.mark.parametrize("others", [(), ("es",)])
def test_a_corpus_of_one_language_has_no_languages_to_tell_apart(
    others: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    # Of the other language there are a few documents only.
    frame = pl.concat([documents(("en",)), *(documents((one,), count=20) for one in others)])
    assert corpus_task("language", task_config("language", 3), frame.lazy(), seed=1) is None
    assert "only the language 'en'" in caplog.text


@pytest.mark.parametrize("made_of", ["language", "section"])
def test_documents_that_are_too_short_for_a_passage_give_no_task(
    made_of: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert corpus_task(made_of, task_config(made_of, 30), documents().lazy(), seed=1) is None
    assert "only 0 documents of a split that are long enough for 30 words" in caplog.text
