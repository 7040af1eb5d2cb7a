import math
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.tokenizers.evaluation import SCHEMA, evaluate, evaluate_many, renyi_efficiency


def test_renyi_efficiency_gives_the_figure_published_with_tokenization_scorer() -> None:
    # "pick @@ed pick @@l @@ed pick @@les" in the README of zouharvi/tokenization-scorer; the figure there is
    # that of its default order, 3.
    counts = np.array([3, 2, 1, 1])
    assert renyi_efficiency(counts, 4, alpha=3.0) == pytest.approx(0.8031528501359657, abs=1e-12)


@given(st.lists(st.integers(0, 1_000), min_size=2, max_size=50).filter(lambda counts: sum(counts) > 0))
def test_renyi_efficiency_lies_between_0_and_1_and_is_1_for_a_uniform_use(counts: list[int]) -> None:
    value = renyi_efficiency(np.array(counts), len(counts))
    assert value is not None
    assert -1e-12 <= value <= 1 + 1e-12
    assert renyi_efficiency(np.full(len(counts), 7), len(counts)) == pytest.approx(1.0)


def test_no_tokens_have_no_efficiency() -> None:
    assert renyi_efficiency(np.zeros(5, dtype=np.int64), 5) is None


def test_the_figures_are_those_counted_by_hand(train: Callable[..., Tokenizer]) -> None:
    tokenizer = train("wordpiece", [["aa bb aa bb cc"] * 20], vocabulary_size=20)
    documents = pl.DataFrame({"text": ["aa bb", "aa ß", "Bb"], "language": ["en", "en", None]})
    table = evaluate(tokenizer, [documents.head(1), documents.tail(2)])
    assert table.schema == pl.Schema(SCHEMA)
    assert table["language"].to_list() == ["all", "en", "unknown"]
    overall, english, unknown = table.rows(named=True)
    # Tokens: aa, bb | aa, [UNK] | bb. The ß takes two bytes.
    assert (english["num_documents"], english["num_words"], english["num_tokens"]) == (2, 4, 4)
    assert english["fertility"] == 1.0
    assert english["bytes_per_token"] == 10 / 4
    assert english["characters_per_token"] == 9 / 4
    assert english["unknown_rate"] == 1 / 4
    assert english["exact_round_trip"] == 1 / 2
    assert english["vocabulary_use"] == 2 / (tokenizer.vocabulary_size - 5)
    shares = np.array([2, 1, 1]) / 4
    expected = math.log((shares**2.5).sum()) / -1.5 / math.log(tokenizer.vocabulary_size)
    assert english["renyi_efficiency"] == pytest.approx(expected)
    assert unknown["exact_round_trip"] == 0.0  # the upper case is lost
    # Of the runs of letters aa, bb, aa and ß, none takes two tokens.
    assert english["continued_words"] == 0.0
    assert english["parity"] == 1.0
    assert unknown["parity"] == (1 / 2) / (4 / 9)
    assert overall["parity"] is None
    assert overall["num_tokens"] == 5
    assert overall["unknown_rate"] == 1 / 5


def test_continued_words_are_runs_of_letters_and_digits_that_take_several_tokens(
    train: Callable[..., Tokenizer],
) -> None:
    tokenizer = train("byte_bpe", [["low low lower"] * 20], vocabulary_size=264)
    assert [len(ids) for ids in tokenizer.encode_batch([" low", " lower", " x1"])] == [1, 2, 3]
    documents = pl.DataFrame({"text": ["low, low-lower! x1", "—"], "language": ["en", "en"]})
    assert evaluate(tokenizer, [documents]).row(0, named=True)["continued_words"] == 2 / 4


def test_without_english_parity_is_against_the_first_language(train: Callable[..., Tokenizer]) -> None:
    tokenizer = train("byte_bpe", vocabulary_size=256 + 5)
    documents = pl.DataFrame({"text": ["abc", "火火"], "language": ["de", "zh"]})
    table = evaluate(tokenizer, [documents])
    assert table["parity"].to_list() == [None, 1.0, 3.0]


def test_several_tokenizers_are_measured_in_one_reading(train: Callable[..., Tokenizer]) -> None:
    few, many = train("byte_bpe", vocabulary_size=270), train("byte_bpe", vocabulary_size=400)
    documents = [pl.DataFrame({"text": ["The train leaves."], "language": ["en"]})]
    tables = evaluate_many({"few": few, "many": many}, iter(documents))
    assert tables["few"].equals(evaluate(few, documents))
    assert tables["many"].equals(evaluate(many, documents))


def test_byte_bpe_knows_everything_and_returns_it(
    train: Callable[..., Tokenizer], hard_texts: list[str]
) -> None:
    tokenizer = train("byte_bpe", vocabulary_size=300)
    documents = pl.DataFrame({"text": hard_texts, "language": ["xx"] * len(hard_texts)})
    overall = evaluate(tokenizer, [documents]).row(0, named=True)
    assert overall["exact_round_trip"] == 1.0
    assert overall["unknown_rate"] == 0.0


def test_ratios_without_a_denominator_are_null(train: Callable[..., Tokenizer]) -> None:
    overall = evaluate(train("byte_bpe", vocabulary_size=300), []).row(0, named=True)
    assert overall["num_documents"] == 0
    assert overall["fertility"] is None
    assert overall["renyi_efficiency"] is None
