from collections.abc import Callable

import polars as pl
import pytest

from prolepsis.text.corpus.filters.fineweb import FineWebFilter

Documents = Callable[..., pl.DataFrame]
Judge = Callable[..., list[str | None]]

LONG = "This line is long enough and it has an end"


def lines(count: int, text: str, end: str = "") -> list[str]:
    return [f"{text} {number:03}{end}" for number in range(count)]


@pytest.mark.parametrize(
    ("reason", "good", "bad", "score"),
    [
        (
            "line_punct_ratio",
            [*lines(3, LONG, "."), *lines(22, LONG)],
            [*lines(2, LONG, "."), *lines(15, LONG)],
            2 / 17,
        ),
        (
            "short_line_ratio",
            [*lines(67, "x" * 25, "."), *lines(33, LONG, ".")],
            [*lines(68, "x" * 25, "."), *lines(32, LONG, ".")],
            0.68,
        ),
        (
            "char_dup_ratio",
            ["x" * 40 + ".", *lines(200, LONG, "."), "x" * 40 + "."],
            ["x" * 400 + ".", *lines(200, LONG, "."), "x" * 400 + "."],
            401 / (2 * 401 + 200 * 47),
        ),
        # Three tokens a line, without a break behind the last; two tokens a line.
        (
            "list_ratio",
            ["x" * 40 + f" {n}." for n in range(10)],
            ["x" * 40 + f"{n}." for n in range(10)],
            9 / 20,
        ),
    ],
)
def test_fineweb_drops_beyond_its_thresholds_and_not_before(
    reason: str, good: list[str], bad: list[str], score: float, documents: Documents
) -> None:
    judged = FineWebFilter(FineWebFilter.Config()).judge(documents("\n".join(good), "\n".join(bad)))

    assert judged["reason"].to_list() == [None, reason]
    assert judged["score"].to_list() == [None, pytest.approx(score)]


@pytest.mark.parametrize(
    ("end", "is_one"),
    [(".", True), ("!", True), ("。", True), ("।", True), ("។", True)] + [(end, False) for end in "\"',…):"],
)
def test_a_sentence_ends_with_marks_that_unicode_says_end_it(end: str, is_one: bool, judge: Judge) -> None:
    text = "\n".join(lines(9, LONG, end))

    assert judge(FineWebFilter, text) == [None if is_one else "line_punct_ratio"]


def test_blank_lines_are_no_lines_and_an_end_followed_by_a_space_is_none(documents: Documents) -> None:
    blank = "\n \t\n".join(lines(9, LONG, "."))
    spaced = "\n".join(lines(9, LONG, ". "))

    judged = FineWebFilter(FineWebFilter.Config()).judge(documents(blank, spaced))

    assert judged["reason"].to_list() == [None, "line_punct_ratio"]


@pytest.mark.parametrize("text", ["", "\n", " \n\u3000\n"])
def test_a_document_without_a_line_is_dropped_as_empty(text: str, judge: Judge) -> None:
    assert judge(FineWebFilter, text, "A line of text that is long enough. And so on.") == ["empty", None]


def test_repeated_lines_are_measured_against_the_text_without_its_line_ends(documents: Documents) -> None:
    twice = "It is said two times in this text."
    text = "\n".join([twice, *lines(20, LONG, "."), twice])

    judged = FineWebFilter(FineWebFilter.Config(max_duplicate_characters=0)).judge(documents(text))

    assert judged["reason"].to_list() == ["char_dup_ratio"]
    assert judged["score"].to_list() == [pytest.approx(len(twice) / len(text.replace("\n", "")))]
