from collections.abc import Callable
from typing import Any

import numpy as np

from prolepsis.plugins import load
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.masking import continues_word, group_words
from prolepsis.text.bert.objectives.whole_word import WholeWordMasking
from prolepsis.text.tokenizers import Tokenizer


def test_in_its_batches_words_are_hidden_whole(
    write_shards: Callable[..., Any], random_documents: Callable[..., Any], tokenizer: Tokenizer
) -> None:
    assert load("prolepsis.pretraining_objectives", "whole_word") is WholeWordMasking
    objective = WholeWordMasking(WholeWordMasking.Config(max_length=40), tokenizer)
    plan = objective.plan(write_shards(train=random_documents(1, 80)).split("train"), 3, 0)
    continues = continues_word(tokenizer)
    num_longer = 0
    for number in range(len(plan.examples.lengths)):
        tokens = plan.examples[number].token_ids
        masked = objective.corrupt(tokens, np.random.default_rng(number))
        hidden = set(masked.positions.tolist())
        assert len(hidden) <= objective.num_predictions(len(tokens))
        for word in group_words(tokens, objective.is_candidate(tokens), continues):
            assert hidden.issuperset(word.tolist()) or hidden.isdisjoint(word.tolist())
            num_longer += len(word) > 1 and hidden.issuperset(word.tolist())
    assert num_longer > 20


def test_a_piece_that_begins_a_segment_shares_no_fate_with_the_segment_before(tokenizer: Tokenizer) -> None:
    objective = WholeWordMasking(WholeWordMasking.Config(max_length=40), tokenizer)
    continues = continues_word(tokenizer)
    piece, start = int(np.flatnonzero(continues)[0]), int(np.flatnonzero(~continues)[5])
    cls, sep = tokenizer.special_ids["cls"], tokenizer.special_ids["sep"]
    tokens = np.array([cls, start, sep, piece, start, sep])
    hidden = [objective.corrupt(tokens, np.random.default_rng(seed)).positions.tolist() for seed in range(30)]
    # One token of six is hidden; joined to the word before it, the piece never could be.
    assert {tuple(positions) for positions in hidden} == {(1,), (3,), (4,)}


def test_it_learns(
    write_shards: Callable[..., Any],
    random_documents: Callable[..., Any],
    tokenizer: Tokenizer,
    small_config: BertConfig,
    train: Callable[..., Any],
) -> None:
    objective = WholeWordMasking(WholeWordMasking.Config(max_length=40), tokenizer)
    plan = objective.plan(write_shards(train=random_documents(1, 80)).split("train"), 3, 0)
    before, after = train(objective, small_config, plan, 30)
    assert after["masked_loss"] < before["masked_loss"] - 0.5
    assert before.keys() == {"masked_loss", "next_sentence_loss"}
