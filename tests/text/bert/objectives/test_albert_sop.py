from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from prolepsis.plugins import load
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.examples import SegmentPairExamples
from prolepsis.text.bert.objectives.albert_sop import AlbertSentenceOrder
from prolepsis.text.token_shards import TokenSplit
from prolepsis.text.tokenizers import Tokenizer

LENGTH = 40
VOCABULARY_SIZE = 86  # the tokenizer's
SIGNIFICANCE = 1e-3


@pytest.fixture
def split(write_shards: Callable[..., Any], random_documents: Callable[..., Any]) -> TokenSplit:
    return write_shards(train=random_documents(1, 60)).split("train")


@pytest.fixture
def objective(tokenizer: Tokenizer) -> AlbertSentenceOrder:
    return AlbertSentenceOrder(AlbertSentenceOrder.Config(max_length=LENGTH, max_predictions=6), tokenizer)


def test_it_is_found_by_its_name_with_the_originals_values() -> None:
    assert load("prolepsis.pretraining_objectives", "albert_sop") is AlbertSentenceOrder
    assert AlbertSentenceOrder.Config().model_dump() == {
        "max_length": 512,
        "max_predictions": 20,
        "mlm_probability": 0.15,
        "short_sequence_probability": 0.1,
        "dupe_factor": 40,
        "output_bias": "zeros",
        "max_ngram": 3,
        "favor_shorter_ngram": True,
    }


def test_half_of_the_chunks_that_can_be_swapped_are_and_the_others_have_a_random_second_segment(
    objective: AlbertSentenceOrder, split: TokenSplit
) -> None:
    swapped, in_order = 0, 0
    for pass_index in range(20):
        examples = objective.examples(split, 3, pass_index)
        assert isinstance(examples, SegmentPairExamples)
        pairs = examples.pairs
        is_random = pairs.document_a != pairs.document_b
        assert (pairs.label[is_random] == 1).all()
        is_swapped = ~is_random & (pairs.stop_b <= pairs.start_a)
        assert (pairs.label[is_swapped] == 1).all()
        follows = ~is_random & (pairs.stop_a <= pairs.start_b)
        assert (pairs.label[follows] == 0).all()
        assert is_random.any()
        assert (is_random | is_swapped | follows).all()
        swapped += int(is_swapped.sum())
        in_order += int(follows.sum())
    assert stats.binomtest(swapped, swapped + in_order, 0.5).pvalue > SIGNIFICANCE


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(5, VOCABULARY_SIZE - 1), min_size=2, max_size=60), st.integers(0, 2**32))
def test_whole_words_are_hidden_and_the_targets_restore_the_example(
    objective: AlbertSentenceOrder, tokenizer: Tokenizer, text: list[int], seed: int
) -> None:
    special, middle = tokenizer.special_ids, len(text) // 2
    separator = special["sep"]
    tokens = np.array([special["cls"], *text[:middle], separator, *text[middle:], separator])
    masked = objective.corrupt(tokens.copy(), np.random.default_rng(seed))
    assert len(masked.positions) <= min(6, max(1, round(0.15 * len(tokens))))
    restored = masked.token_ids.copy()
    restored[masked.positions] = masked.targets
    assert (restored == tokens).all()
    words = tokenizer.words()
    hidden = set(masked.positions.tolist())
    assert not hidden & {0, middle + 1, len(tokens) - 1}
    for position, (token, before) in enumerate(zip(tokens[1:], tokens, strict=False), start=1):
        if words[token].startswith("##") and before not in special.values():
            assert (position in hidden) == (position - 1 in hidden)


def test_neighbouring_words_are_hidden_together(objective: AlbertSentenceOrder, tokenizer: Tokenizer) -> None:
    word = next(i for i in range(5, VOCABULARY_SIZE) if not tokenizer.words()[i].startswith("##"))
    special = tokenizer.special_ids
    tokens = np.array([special["cls"], *[word] * 35, special["sep"], word, word, special["sep"]])
    longest = 0
    for seed in range(200):
        positions = objective.corrupt(tokens, np.random.default_rng(seed)).positions
        assert len(positions) == 6
        runs = np.split(positions, np.flatnonzero(np.diff(positions) > 1) + 1)
        longest = max(longest, *(len(run) for run in runs))
    assert longest >= 3


def test_the_losses_add_up_and_fall_with_factorised_and_shared_weights(
    objective: AlbertSentenceOrder,
    split: TokenSplit,
    small_config: BertConfig,
    train: Callable[..., tuple[dict[str, float], dict[str, float]]],
) -> None:
    config = BertConfig(
        **{
            **small_config.model_dump(),
            "initializer_range": 0.1,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "embedding_size": 8,
            "num_hidden_groups": 1,
        }
    )
    plan = objective.plan(split, 3, 0)
    before, after = train(objective, config, plan, 60)
    assert before.keys() == {"masked_loss", "sentence_order_loss"}
    assert after["masked_loss"] < before["masked_loss"] - 0.2
    assert after["sentence_order_loss"] < before["sentence_order_loss"]

    model = objective.build_model(config, np.ones(5, np.int64)).eval()
    batch = plan.batch(np.arange(4))
    measures = objective.measure(model, batch)
    torch.testing.assert_close(measures.loss, sum(measure.mean for measure in measures.losses.values()))
    assert measures.others["sentence_order_accuracy"].count == len(batch.labels)
    assert int(measures.others["out_of_order_share"].total) == int(batch.labels.sum())


def test_the_copies_are_taken_in_turn(tokenizer: Tokenizer, split: TokenSplit) -> None:
    config = AlbertSentenceOrder.Config(max_length=LENGTH, dupe_factor=2)
    objective = AlbertSentenceOrder(config, tokenizer)
    first, second, third = (objective.plan(split, 3, i).batch(np.arange(3)).token_ids for i in range(3))
    assert torch.equal(first, third)
    assert not torch.equal(first, second)
