from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.errors import ProlepsisError
from prolepsis.text.token_shards import TokenShards
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.word2vec.vocabulary import AliasTable, Vocabulary


def vocabulary_of(counts: list[int]) -> Vocabulary:
    rows = np.arange(len(counts))
    return Vocabulary(rows, np.array(counts), [None] * len(counts), rows.astype(np.int32))


def test_counts_are_those_of_the_training_split_most_frequent_first(shards: TokenShards) -> None:
    train = shards.split("train")
    expected = Counter(int(i) for n in range(train.num_documents) for i in train.document(n))
    vocabulary = Vocabulary.count(train, shards.vocabulary_size, 1, [])
    assert dict(zip(vocabulary.ids.tolist(), vocabulary.counts.tolist(), strict=True)) == expected
    assert vocabulary.counts.tolist() == sorted(expected.values(), reverse=True)
    assert vocabulary.num_tokens == train.num_tokens
    assert [vocabulary.rows[i] for i in vocabulary.ids] == list(range(len(expected)))


def test_rare_and_excluded_tokens_have_no_row(shards: TokenShards) -> None:
    train = shards.split("train")
    everything = Vocabulary.count(train, shards.vocabulary_size, 1, [])
    excluded = int(everything.ids[0])
    rarest_kept = int(everything.counts[3])
    vocabulary = Vocabulary.count(train, shards.vocabulary_size, rarest_kept, [excluded])
    assert excluded not in vocabulary.ids and vocabulary.rows[excluded] == -1
    assert vocabulary.counts.min() >= rarest_kept
    assert (vocabulary.rows == -1).sum() == shards.vocabulary_size - len(vocabulary.ids)


def test_each_word_belongs_to_the_language_that_uses_it_most(
    shards: TokenShards, tokenizer: Tokenizer
) -> None:
    vocabulary = Vocabulary.count(shards.split("train"), shards.vocabulary_size, 1, [])
    names = tokenizer.words()
    languages = {names[i]: language for i, language in zip(vocabulary.ids, vocabulary.languages, strict=True)}
    assert languages["queen"] == "en" and languages["reine"] == "fr"


def test_too_few_frequent_words_is_a_message(shards: TokenShards) -> None:
    with pytest.raises(ProlepsisError, match="Only 0 tokens") as caught:
        Vocabulary.count(shards.split("train"), shards.vocabulary_size, 10**9, [])
    assert "min_count" in str(caught.value)


def test_subsampling_follows_the_formula_of_word2vec_c() -> None:
    vocabulary = vocabulary_of([9000, 900, 90, 10])
    frequency = np.array([9000, 900, 90, 10]) / 10_000
    expected = np.minimum((np.sqrt(frequency / 0.001) + 1) * 0.001 / frequency, 1.0)
    np.testing.assert_allclose(vocabulary.keep_probabilities(0.001), expected)
    np.testing.assert_array_equal(vocabulary.keep_probabilities(0.0), np.ones(4))


def test_noise_follows_counts_to_the_power_of_three_quarters() -> None:
    noise = vocabulary_of([10_000, 16]).noise_probabilities(0.75)
    assert noise.sum() == pytest.approx(1.0)
    assert noise[0] / noise[1] == pytest.approx(1000 / 8)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=60))
def test_the_alias_table_draws_from_its_distribution(weights: list[float]) -> None:
    probabilities = np.array(weights) / np.sum(weights)
    table = AliasTable.build(probabilities)
    np.testing.assert_allclose(table.probabilities(), probabilities, atol=1e-6)
    assert (table.thresholds >= 0).all() and (table.thresholds <= 1).all()
