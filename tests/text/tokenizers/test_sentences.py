from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.tokenizers.sentences import sentence_boundaries, sentence_starts


def cut(text: str) -> list[str]:
    bounds = [*sentence_boundaries(text), len(text)]
    return [text[start:end].strip() for start, end in pairwise(bounds)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("«Oui.» Non… Peut-être?! (Bon.) Ah.", ["«Oui.»", "Non…", "Peut-être?!", "(Bon.)", "Ah."]),
        ("Hola. ¿Qué tal? Bien.", ["Hola.", "¿Qué tal?", "Bien."]),
        ("火车离开。我们等待！“好。”再见", ["火车离开。", "我们等待！", "“好。”", "再见"]),
        ("هل أنت؟ نعم", ["هل أنت؟", "نعم"]),
        ("राम गया। सीता आई।", ["राम गया।", "सीता आई।"]),
        ("A title\n\nA line.\nAnother", ["A title", "A line.", "Another"]),
        ("J. R. R. Tolkien wrote e.g. this book.", ["J. R. R. Tolkien wrote e.g. this book."]),
        ("It costs 3.14 at example.org today", ["It costs 3.14 at example.org today"]),
        ("The end of man. Next.", ["The end of man.", "Next."]),
        ("U.S.\nArmy", ["U.S.", "Army"]),
        ("  leading", ["leading"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences_end_where_a_reader_of_any_language_would_say(text: str, sentences: list[str]) -> None:
    assert cut(text) == sentences


@given(st.text(alphabet=st.sampled_from("ab .!?。！\n\t\"'”»A火é"), max_size=60))
def test_boundaries_rise_and_every_sentence_begins_visibly(text: str) -> None:
    starts = sentence_boundaries(text)
    assert starts == sorted(set(starts))
    assert all(not text[start].isspace() for start in starts)
    assert bool(starts) == bool(text.strip())


@given(st.text(alphabet=st.sampled_from("ab .!?。！\n\t\"'”»A火é"), max_size=60))
def test_the_start_token_is_the_one_that_holds_the_first_character(tokenizer: Tokenizer, text: str) -> None:
    encoding = tokenizer.encode_batch_with_offsets([text])[0]
    starts = sentence_starts(text, encoding.offsets)
    assert starts.dtype == np.int32
    assert (np.diff(starts) > 0).all()
    ends = encoding.offsets[:, 1]
    for boundary in sentence_boundaries(text):
        holding = np.flatnonzero(ends > boundary)
        if len(holding):
            assert holding[0] in starts
    assert len(starts) == 0 or starts[0] == np.flatnonzero(ends > sentence_boundaries(text)[0])[0]


def test_sentences_of_a_document_are_its_own_tokens(
    tokenizer: Tokenizer, train: Callable[..., Tokenizer]
) -> None:
    text = "El tren sale de la estación. The train leaves! 火车离开。我们等待。\nLe train quitte la gare."
    encoding = tokenizer.encode_batch_with_offsets([text])[0]
    starts = sentence_starts(text, encoding.offsets)
    assert starts[0] == 0
    assert len(starts) == 5
    begun = [text[encoding.offsets[start, 0] : encoding.offsets[start, 1]].strip()[:1] for start in starts]
    assert begun in (["E", "T", "火", "我", "L"], ["", "T", "火", "我", "L"])
