from collections.abc import Callable

import polars as pl
import pytest

from prolepsis.text.corpus.filters.c4 import C4Config, C4Filter, C4ParagraphsFilter

Documents = Callable[..., pl.DataFrame]
Judge = Callable[..., list[str | None]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("One is here. Two is here. Three is here. Four is here. Five is here.", None),
        ("One is here. Two is here. Three is here. Four is here.", "too_few_sentences"),
        ("Lorem ipsum dolor sit amet. " * 6, "lorem_ipsum"),
        ("The code is x = {1}. " * 6, "curly_bracket"),
        ("no end of a sentence\n" * 6, "too_few_sentences"),
        ("it trails off into...\n" * 6, "too_few_sentences"),
        ("Two words.\n" * 6, "too_few_sentences"),
        ("Three short words.\n" * 5, None),
        ("Please enable JavaScript now.\n" * 6, "too_few_sentences"),
        ("Please read our Terms of Use now.\n" * 6, "too_few_sentences"),
        ("This site uses cookies daily.\n" * 6, "too_few_sentences"),
        (("x" * 1001 + " is too long.\n") * 6, "too_few_sentences"),
        (("x" * 1000 + " is long enough.\n") * 6, None),
        (("ü" * 1000 + " is long enough.\n") * 6, None),
        ("", "too_few_sentences"),
    ],
)
def test_c4_gives_its_reasons(text: str, reason: str | None, judge: Judge) -> None:
    assert judge(C4Filter, text) == [reason]


@pytest.mark.parametrize("end", [".", "?", "!", '"', "'"])
def test_a_line_ends_as_a_sentence_with_five_marks(end: str, judge: Judge) -> None:
    assert judge(C4Filter, f"a line of words{end}\n" * 5) == [None]


def test_other_ends_of_sentences_can_be_given(judge: Judge) -> None:
    text = "这是 第一 句。\n" * 5

    assert judge(C4Filter, text, language="zh") == ["too_few_sentences"]
    assert judge(C4Filter, text, language="zh", sentence_ends=["。"]) == [None]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A {brace} comes first.\nThen lorem ipsum comes.", "curly_bracket"),
        ("Here lorem ipsum comes.\nThen a {brace} comes.", "lorem_ipsum"),
        ("Both lorem ipsum and {brace} come.", "lorem_ipsum"),
        # A line that is removed anyway decides nothing, and a line about javascript may hold brackets.
        ("lorem ipsum without an end\nan end of {brace} is missing", "too_few_sentences"),
        ("In javascript one writes {this}.", "too_few_sentences"),
    ],
)
def test_the_first_line_that_drops_a_document_names_the_reason(text: str, reason: str, judge: Judge) -> None:
    assert judge(C4Filter, text) == [reason]


def test_c4_removes_lines_and_citations_from_what_it_keeps(documents: Documents) -> None:
    kept = (
        "The first line is good [12]. It is long.\nmenu entry\r\n The last line is good[citation needed] too."
    )
    dropped = "menu entry\nother entry"

    judged = C4Filter(C4Config(min_sentences=3)).judge(documents(kept, dropped, kept))

    good = "The first line is good . It is long.\nThe last line is good too."
    assert judged["reason"].to_list() == [None, "too_few_sentences", None]
    assert judged["text"].to_list() == [good, dropped, good]
    assert judged["score"].to_list() == [None, 0, None]


def test_a_citation_behind_the_end_of_a_sentence_hides_it_but_for_the_space(judge: Judge) -> None:
    assert judge(C4Filter, "This is a sentence.[1]\n" * 5) == [None]
    assert judge(C4Filter, "This is a sentence. [1]\n" * 5) == ["too_few_sentences"]


# Sentences of spaCy's sentencizer, on its tokens.
@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One two. Three four five! Six seven eight?", 3),
        ('He said "stop it." Then he left.', 2),
        ("It costs 3.50 a piece, e.g. here, says Mr. Smith.", 1),
        ("Wait... what?! No, I said.", 2),
        ("... Hello. there you are", 2),
        ("Five... six? (Seven.) eight", 3),
        ("Ceci est une phrase. Élan de plus.", 2),
        ("it goes on. and on. and on", 3),
    ],
)
def test_sentences_are_counted_by_their_ends(text: str, sentences: int, documents: Documents) -> None:
    config = C4Config(min_words_per_line=1, require_sentence_end=False, min_sentences=9)

    assert C4Filter(config).judge(documents(text))["score"].to_list() == [sentences]


def test_sentences_without_spaces_between_them_are_counted(documents: Documents) -> None:
    config = C4Config(min_words_per_line=1, require_sentence_end=False, min_sentences=9)

    assert C4Filter(config).judge(documents("这是第一句。这是第二句!", language="zh"))["score"].to_list() == [
        2
    ]


def test_sentences_of_all_lines_count_together(documents: Documents) -> None:
    config = C4Config(min_sentences=6)

    judged = C4Filter(config).judge(
        documents("One is here. Two is.\nThree is here.\n" * 2, "Only one is here.")
    )

    assert judged["reason"].to_list() == [None, "too_few_sentences"]


@pytest.mark.parametrize(
    ("lengths", "reason"),
    [
        ([200, 200, 200], None),
        ([10, 300, 10, 200, 250], None),
        ([200, 200, 199], "too_few_paragraphs"),
        ([900], "too_few_paragraphs"),
    ],
)
def test_three_paragraphs_of_200_characters_are_wanted(
    lengths: list[int], reason: str | None, judge: Judge
) -> None:
    assert judge(C4ParagraphsFilter, "\n".join("é" * length for length in lengths)) == [reason]


def test_c4_paragraphs_scores_their_number(documents: Documents) -> None:
    judged = C4ParagraphsFilter(C4ParagraphsFilter.Config()).judge(
        documents("x" * 200 + "\n" + "y" * 200, "")
    )

    assert judged["score"].to_list() == [2, 0]
