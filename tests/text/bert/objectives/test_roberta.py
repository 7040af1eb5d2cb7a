from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from prolepsis.plugins import load
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.objectives.roberta import RobertaObjective
from prolepsis.text.bert.packed import MaskedBatch, PackedPlan
from prolepsis.text.token_shards import TokenSplit
from prolepsis.text.tokenizers import Tokenizer

LENGTH = 40


@pytest.fixture
def split(write_shards: Callable[..., Any], random_documents: Callable[..., Any]) -> TokenSplit:
    return write_shards(train=random_documents(1, 120)).split("train")


@pytest.fixture
def objective(tokenizer: Tokenizer) -> RobertaObjective:
    return RobertaObjective(RobertaObjective.Config(max_length=LENGTH), tokenizer)


@pytest.fixture
def plan(objective: RobertaObjective, split: TokenSplit) -> PackedPlan:
    return objective.plan(split, 3, 0)


def original(batch: MaskedBatch) -> torch.Tensor:
    tokens = batch.token_ids.clone().flatten()
    tokens[batch.masked_positions] = batch.masked_targets
    return tokens.view_as(batch.token_ids)


def test_a_pass_holds_the_whole_text_once(plan: PackedPlan, split: TokenSplit, tokenizer: Tokenizer) -> None:
    assert load("prolepsis.pretraining_objectives", "roberta") is RobertaObjective
    tokens = original(plan.batch(np.arange(len(plan)))).flatten()
    special = [tokenizer.special_ids[part] for part in ("pad", "cls", "sep")]
    text = tokens[~torch.isin(tokens, torch.tensor(special))]
    expected = np.concatenate([split.document(i) for i in range(split.num_documents)])
    assert np.bincount(text).tolist() == np.bincount(expected).tolist()


def test_every_pass_hides_other_tokens(objective: RobertaObjective, split: TokenSplit) -> None:
    first, second = (objective.plan(split, 3, i) for i in (0, 1))
    assert first.examples.lengths.tolist() == second.examples.lengths.tolist()
    rows = np.arange(len(first))
    batches = [replace(plan, order=first.order).batch(rows) for plan in (first, second)]
    assert torch.equal(original(batches[0]), original(batches[1]))
    hidden = [set(batch.masked_positions.tolist()) for batch in batches]
    assert len(hidden[0] & hidden[1]) < 0.25 * len(hidden[0])


def test_the_loss_is_that_of_the_hidden_tokens_alone(
    objective: RobertaObjective, plan: PackedPlan, small_config: BertConfig
) -> None:
    torch.manual_seed(0)
    model = objective.build_model(small_config, np.ones(5, np.int64)).eval()
    assert not [name for name in model.state_dict() if name.startswith("sentence_pairs")]
    batch = plan.batch(np.arange(6))
    measures = objective.measure(model, batch)
    assert measures.losses.keys() == {"masked_loss"}
    logits = model.masked_logits(model.encode(batch))
    labels = torch.full((len(logits),), -100)
    labels[batch.masked_positions] = batch.masked_targets
    torch.testing.assert_close(measures.loss, functional.cross_entropy(logits, labels))


def test_rows_without_whole_sentences_are_fuller(
    objective: RobertaObjective, plan: PackedPlan, split: TokenSplit, tokenizer: Tokenizer
) -> None:
    config = objective.config.model_copy(update={"sample_break_mode": "none"})
    other = RobertaObjective(config, tokenizer).plan(split, 3, 0)
    assert len(other) < len(plan)


def test_it_learns(
    objective: RobertaObjective, plan: PackedPlan, small_config: BertConfig, train: Callable[..., Any]
) -> None:
    before, after = train(objective, small_config, plan, 30)
    assert after["masked_loss"] < before["masked_loss"] - 0.5


def test_shorter_rows_are_the_same_objective(objective: RobertaObjective, split: TokenSplit) -> None:
    short = objective.shortened(20)
    assert short.config == objective.config.model_copy(update={"max_length": 20})
    assert short.plan(split, 3, 0).batch(np.arange(2)).token_ids.shape == (2, 20)
