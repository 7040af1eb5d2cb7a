import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.text.corpus.filters.tokens import (
    ENDS_SENTENCE,
    HAS_LETTER,
    HAS_NON_SYMBOL,
    IS_PUNCTUATION,
    Tokens,
    token_hashes,
    tokenize,
)


def split(*texts: str, language: str = "en") -> Tokens:
    return tokenize(pl.Series(texts, dtype=pl.String), pl.Series([language] * len(texts), dtype=pl.String))


def words(text: str, language: str = "en") -> list[str]:
    """The tokens themselves: their lengths, laid along the text without its spaces."""
    rest = "".join(text.split())
    found = []
    for length in split(text, language=language).lengths.tolist():
        found.append(rest[:length])
        rest = rest[length:]
    assert rest == ""
    return found


# Texts, and the tokens that spaCy 3.8's blank pipelines split them into.
@pytest.mark.parametrize(
    ("language", "text", "tokens"),
    [
        (
            "en",
            "word--don't stop. \"Yes,\" he said; it's Mr. O'Neil's well-known _book_ in the",
            "word -- don't stop . \" Yes , \" he said ; it 's Mr. O'Neil 's well - known _ book _ in the",
        ),
        ("en", "U.S.A. for 3.50", "U.S.A. for 3.50"),
        (
            "en",
            "10-12 e.g. --and [1] end... wait...what? 'tis I’ll 1920s. $5,000 50% (U.S.)",
            "10 - 12 e.g. --and [ 1 ] end ... wait ... what ? ' tis I ’ll 1920s . $ 5,000 50 % ( U.S. )",
        ),
        ("en", "can't--no cannot Im", "can't -- no can not I m"),
        (
            "en",
            "see http://a.example/b-c?d=e, or jo.do@mail.example, www.example.com/a-b; US$100 5km",
            "see http://a.example/b-c?d=e , or jo.do@mail.example , www.example.com/a-b ; US$ 100 5 km",
        ),
        ("en", "A,B x=y and/or", "A , B x = y and/or"),
        (
            "en",
            "“Curly,” she—he said—‘no’ … yes!? ((a)) +5 a+b 5+ 9am NASA. (Fig. 3) J.",
            "“ Curly , ” she — he said—‘no ’ … yes ! ? ( ( a ) ) +5 a+b 5 + 9 am NASA . ( Fig . 3 ) J.",
        ),
        ("en", "R. R. Tolkien's. C++ I'd've", "R. R. Tolkien 's . C++ I 'd 've"),
        (
            "fr",
            "L'été, c'est aujourd'hui l’avant-garde : est-ce qu’il vient-il ? 5 % de M. Dupont,",
            "L' été , c' est aujourd'hui l’ avant-garde : est -ce qu’ il vient -il ? 5 % de M. Dupont ,",
        ),
        ("fr", "dit-elle. arc-en-ciel", "dit -elle . arc-en-ciel"),
        (
            "es",
            "¿Qué tal? —dijo— El Sr. López ganó un 5% en EE.UU. (véase pág. 3) bien-estar",
            "¿ Qué tal ? — dijo — El Sr. López ganó un 5% en EE.UU. ( véase pág. 3 ) bien-estar",
        ),
        ("es", "1914-1918—.", "1914-1918 — ."),
        (
            "de",
            "Das ist ein gut-gemeinter Satz, nicht wahr? 3,5 kg. „Ja!“",
            "Das ist ein gut - gemeinter Satz , nicht wahr ? 3,5 kg . „ Ja ! “",
        ),
    ],
)
def test_texts_are_split_as_spacy_splits_them(language: str, text: str, tokens: str) -> None:
    assert words(text, language) == tokens.split()


@pytest.mark.parametrize(
    ("language", "text", "tokens"),
    [
        ("zh", "中文字。和 English混", ["中", "文", "字", "。", "和", "English", "混"]),
        ("ja", "これはペンです!", ["こ", "れ", "は", "ペ", "ン", "で", "す", "!"]),
        ("th", "ง่าย ที่", ["ง่", "า", "ย", "ที่"]),
        ("und", "京都 Kyoto", ["京", "都", "Kyoto"]),
        # As for spaCy, a foreign word among words with spaces is a word.
        ("en", "(京都大学, Kyoto", ["(", "京都大学", ",", "Kyoto"]),
    ],
)
def test_languages_without_spaces_give_a_token_for_each_character_with_its_marks(
    language: str, text: str, tokens: list[str]
) -> None:
    assert words(text, language) == tokens


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("word", HAS_LETTER | HAS_NON_SYMBOL),
        ("1920", HAS_NON_SYMBOL),
        ("...", IS_PUNCTUATION),
        (".", IS_PUNCTUATION | ENDS_SENTENCE),
        ("。", IS_PUNCTUATION | ENDS_SENTENCE),
        ("$", 0),
        ("€", HAS_NON_SYMBOL),
        ("–", IS_PUNCTUATION),
        ("•", HAS_NON_SYMBOL | IS_PUNCTUATION),
    ],
)
def test_a_token_is_known_for_what_it_is(token: str, kind: int) -> None:
    assert split(token).kinds.tolist() == [kind]


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5),
    st.sampled_from(["en", "fr", "es", "x"]),
)
def test_tokens_hold_every_character_but_spaces_and_no_text_changes_another(
    texts: list[str], language: str
) -> None:
    together = split(*texts, language=language)
    alone = [split(text, language=language) for text in texts]

    assert together.counts.tolist() == [len(each.hashes) for each in alone]
    assert together.hashes.tolist() == [value for each in alone for value in each.hashes.tolist()]
    assert together.sums(together.lengths).tolist() == [len("".join(text.split())) for text in texts]


@given(st.lists(st.sampled_from(["a", "bc", "d1", "Ünd", "(e)", "f.", "¿g?"]), min_size=1))
def test_equal_tokens_have_equal_hashes_and_others_have_not(parts: list[str]) -> None:
    text = " ".join(parts)
    tokens = words(text)

    hashes = split(text).hashes

    assert hashes.tolist() == token_hashes(tokens).tolist()
    assert len(set(hashes.tolist())) == len(set(tokens))


@pytest.mark.parametrize(
    "text", ["x" * 300_000, "." * 300_000, "a-" * 150_000, "!?" * 150_000, "中" * 100_000]
)
def test_runs_of_any_length_are_split(text: str) -> None:
    counts = split("before", text, "after").counts.tolist()

    assert [counts[0], counts[2]] == [1, 1]
    assert "".join(words(text)) == text


def test_no_texts_have_no_tokens() -> None:
    assert split().counts.tolist() == []
    assert split("", " \n ").counts.tolist() == [0, 0]


def test_a_slice_of_a_batch_is_split_like_the_texts_themselves() -> None:
    texts = pl.Series(["one", "two words", "and three words"])

    assert tokenize(texts[1:], pl.Series(["en", "en"])).counts.tolist() == [2, 3]


def test_tokens_of_running_text_are_those_of_a_plain_expression() -> None:
    text = "The cat sat on the mat, and the dog (a spaniel) barked; then nobody said a word for hours. " * 50

    assert words(text) == re.findall(r"\w+|[^\w\s]", text)
