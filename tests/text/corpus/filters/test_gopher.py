from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from prolepsis.text.corpus.filtering import DocumentFilter
from prolepsis.text.corpus.filters.gopher import GopherQualityFilter, GopherRepetitionFilter

Documents = Callable[..., pl.DataFrame]
Judge = Callable[..., list[str | None]]

SENTENCE = "The weather was good and we had to walk with the dog to the river of our town that day. "
GOOD = (
    SENTENCE
    + "People said that rain would be coming, and have brought umbrellas to the market place with them. "
    + "Nobody of the group could know what the morning after would bring, so all went to bed early to rest."
)
LETTERS = [f"{a}{b}" for a in "abcdefghijkl" for b in "mnopqrstuvwx"]


def build(plugin: Any, **config: Any) -> DocumentFilter:
    built: DocumentFilter = plugin(plugin.Config(**config))
    return built


def measured(
    plugin: type[DocumentFilter], text: str, documents: Documents, **config: Any
) -> tuple[object, object]:
    judged = build(plugin, **config).judge(documents(text))
    return judged["reason"][0], judged["score"][0]


# Each line holds a text on the good and one on the bad side of a threshold.
@pytest.mark.parametrize(
    ("reason", "good", "bad", "score"),
    [
        ("gopher_short_doc", "the and " * 25, "the and " * 24 + "word", 49),
        ("gopher_long_doc", "the and " * 50_000, "the and " * 50_000 + "word", 100_001),
        ("gopher_below_avg_threshold", "the and " * 30, "the and " * 30 + "to", (60 * 3 + 2) / 61),
        (
            "gopher_above_avg_threshold",
            "the and extraordinarily" + " tenletters" * 20 + " the and extraordinarily misunderstand" * 10,
            "the and " + "counterrevolutionaries " * 50,
            (6 + 22 * 50) / 52,
        ),
        (
            "gopher_too_many_hashes",
            "the and " * 45 + "# " * 10,
            "the and " * 44 + "# " * 10,
            10 / 98,
        ),
        (
            "gopher_too_many_ellipsis",
            "the and " * 45 + "… " * 10 + "and",
            "the and " * 44 + "… " * 10 + "and",
            10 / 99,
        ),
        (
            "gopher_too_many_bullets",
            "- the bullet and the line\n" * 18 + "the bullet and the line\n" * 2,
            "• the bullet and the line\n" * 19 + "the bullet and the line\n" * 2,
            19 / 21,
        ),
        (
            "gopher_too_many_end_ellipsis",
            "the and of words that go to the end of a line...\n" * 3 + "the lines and their words\n" * 7,
            "the and of words that go to the end of a line… \n" * 4 + "the lines and their words\n" * 6,
            4 / 10,
        ),
        (
            "gopher_below_alpha_threshold",
            "the and of you 1234 " * 20,
            "the and of you 1234 " * 20 + "5678",
            80 / 101,
        ),
        (
            "gopher_enough_stop_words",
            "green ideas sleep furiously " * 20 + "the and",
            "The green ideas sleep and " * 20,
            1,
        ),
    ],
)
def test_gopher_quality_drops_beyond_its_thresholds_and_not_before(
    reason: str, good: str, bad: str, score: float, documents: Documents
) -> None:
    assert measured(GopherQualityFilter, good, documents) == (None, None)
    assert measured(GopherQualityFilter, bad, documents) == (reason, pytest.approx(score))


def test_the_first_rule_that_a_document_breaks_is_its_reason(documents: Documents) -> None:
    assert measured(GopherQualityFilter, "# # #", documents) == ("gopher_short_doc", 0)


@pytest.mark.parametrize("separator", ["\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_lines_end_where_python_says(separator: str, judge: Judge) -> None:
    text = separator.join(["• bullet and the line of it"] * 20)

    assert judge(GopherQualityFilter, text + separator) == ["gopher_too_many_bullets"]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("fr", "Le chat dort sur la chaise et les enfants jouent dans le jardin du voisin. "),
        ("es", "El gato duerme en la silla y los niños juegan en el jardín de la vecina. "),
        ("de", "Die Katze schläft auf dem Stuhl und die Kinder spielen mit der Nachbarin. "),
    ],
)
def test_a_text_is_not_dropped_for_lacking_english_words(language: str, text: str, judge: Judge) -> None:
    assert judge(GopherQualityFilter, text * 5, language=language) == [None]
    assert judge(GopherQualityFilter, text * 5, language="en") == ["gopher_enough_stop_words"]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("zh", "猫在椅子上睡觉,孩子们在花园里玩耍。"),
        ("ja", "猫は椅子の上で眠り、子供たちは庭で遊んでいます。"),
        ("th", "แมวนอนหลับอยู่บนเก้าอี้และเด็กๆกำลังเล่นอยู่ในสวนของเพื่อนบ้าน "),
    ],
)
def test_a_text_without_spaces_is_dropped_neither_for_stop_words_nor_for_its_words_lengths(
    language: str, text: str, judge: Judge
) -> None:
    assert judge(GopherQualityFilter, text * 5, language=language) == [None]


def test_stop_words_can_be_given_for_a_language_of_ones_own(judge: Judge) -> None:
    text = "la domo estas granda kaj la arbo estas alta " * 8

    assert judge(GopherQualityFilter, text, language="eo") == [None]
    assert judge(GopherQualityFilter, text, language="eo", stop_words={"eo": ["sed", "ĉar"]}) == [
        "gopher_enough_stop_words"
    ]


def test_documents_of_several_languages_are_judged_by_their_own_words(
    documents: Documents,
) -> None:
    english, french = SENTENCE * 4, "Le chat dort sur la chaise et les enfants jouent dans le jardin. " * 5
    batch = documents(english, french, english).with_columns(language=documents("en", "fr", "fr")["text"])

    judged = GopherQualityFilter(GopherQualityFilter.Config()).judge(batch)

    assert judged["reason"].to_list() == [None, None, "gopher_enough_stop_words"]


def apart(count: int) -> list[str]:
    """Words that differ, of 30 characters each."""
    return [f"{number:030}" for number in range(count)]


@pytest.mark.parametrize(
    ("reason", "good", "bad", "score"),
    [
        # 3 of 10, and 4 of 12, had occurred before; short ones, so that their characters are few.
        (
            "dup_para_frac",
            "\n\n".join([*apart(6), *"aaaa"]),
            "\n\n".join([*apart(7), *"aaaaa"]),
            4 / 12,
        ),
        ("dup_line_frac", "\n".join([*apart(6), *"aaaa"]), "\n".join([*apart(7), *"aaaaa"]), 4 / 12),
        (
            "dup_para_char_frac",
            "\n\n".join([*apart(9), "c" * 60, apart(1)[0]]),
            "\n\n".join([*apart(9), apart(9)[3], apart(9)[4], apart(9)[5]]),
            90 / (12 * 30 + 11 * 2),
        ),
        (
            "dup_line_char_frac",
            "\n".join([*apart(9), "c" * 60, apart(1)[0]]),
            "\n".join([*apart(9), apart(9)[3], apart(9)[4], apart(9)[5]]),
            90 / (12 * 30 + 11),
        ),
    ],
)
def test_gopher_repetition_drops_repeated_lines_and_paragraphs_beyond_its_thresholds(
    reason: str, good: str, bad: str, score: float, documents: Documents
) -> None:
    no_runs: dict[str, object] = {"top_ngrams": {}, "duplicate_ngrams": {}}

    assert measured(GopherRepetitionFilter, good, documents, **no_runs) == (None, None)
    assert measured(GopherRepetitionFilter, bad, documents, **no_runs) == (reason, pytest.approx(score))


@pytest.mark.parametrize(("n", "most"), [(2, 0.20), (3, 0.18), (4, 0.16)])
def test_the_most_frequent_run_may_take_its_share_at_most(n: int, most: float, documents: Documents) -> None:
    run = " ".join(LETTERS[:n])
    others = LETTERS[n:]

    def text(length: int) -> str:
        return (f"{run} {others[0]} {run} " + " ".join(others[1:]))[:length]

    whole = 2 * len(run)
    border = int(whole / most)
    only = {"top_ngrams": {n: most}, "duplicate_ngrams": {}}

    assert measured(GopherRepetitionFilter, text(border + 1), documents, **only) == (None, None)
    reason, score = measured(GopherRepetitionFilter, text(border - 2), documents, **only)
    assert reason == f"top_{n}_gram"
    assert score == pytest.approx(whole / len(text(border - 2)))


def test_a_run_that_occurs_once_counts_unless_told_otherwise(judge: Judge) -> None:
    assert judge(GopherRepetitionFilter, "only three words") == ["top_2_gram"]
    assert judge(GopherRepetitionFilter, "only three words", top_ngrams_must_recur=True) == [None]
    assert judge(
        GopherRepetitionFilter, "buy now " * 3 + "or you will be sorry", top_ngrams_must_recur=True
    ) == ["top_2_gram"]


@pytest.mark.parametrize(("n", "most"), [(5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10)])
def test_repeated_runs_may_take_no_more_than_their_share(n: int, most: float, documents: Documents) -> None:
    run, rest = LETTERS[:n], LETTERS[n:]
    border = int(2 * n / most / 3)  # words of two letters and a space
    only = {"top_ngrams": {}, "duplicate_ngrams": {n: most}}
    good = " ".join([*run, *rest[:5], *run, *rest[5 : border + 2 - 2 * n]])
    bad = " ".join([*run, *rest[:5], *run, *rest[5 : border - 2 * n]])

    assert measured(GopherRepetitionFilter, good, documents, **only) == (None, None)
    assert measured(GopherRepetitionFilter, bad, documents, **only) == (
        f"duplicated_{n}_n_grams",
        pytest.approx(2 * n / len(bad)),
    )


def test_good_prose_repeats_little(judge: Judge) -> None:
    assert judge(GopherRepetitionFilter, GOOD) == [None]


def test_an_empty_document_is_dropped_as_such(judge: Judge) -> None:
    assert judge(GopherRepetitionFilter, "") == ["empty"]
