from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.nn import functional

from prolepsis.plugins import load
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.masking import MaskedTokens
from prolepsis.text.bert.objectives.spanbert import (
    SpanBertObjective,
    SpanPlan,
    boundary_targets,
    draw_from_corpus,
)
from prolepsis.text.token_shards import TokenSplit
from prolepsis.text.tokenizers import Tokenizer

LENGTH = 40
VOCABULARY_SIZE = 86  # the tokenizer's
SIGNIFICANCE = 1e-3


@pytest.fixture
def split(write_shards: Callable[..., Any], random_documents: Callable[..., Any]) -> TokenSplit:
    return write_shards(train=random_documents(1, 60)).split("train")


@pytest.fixture
def objective(tokenizer: Tokenizer) -> SpanBertObjective:
    return SpanBertObjective(SpanBertObjective.Config(max_length=LENGTH), tokenizer)


@pytest.fixture
def plan(objective: SpanBertObjective, split: TokenSplit) -> SpanPlan:
    return objective.plan(split, seed=3, pass_index=0)


def test_it_is_found_by_its_name_with_the_papers_values() -> None:
    assert load("prolepsis.pretraining_objectives", "spanbert") is SpanBertObjective
    assert SpanBertObjective.Config().model_dump() == {
        "max_length": 512,
        "mlm_probability": 0.15,
        "sample_break_mode": "complete",
        "output_bias": "zeros",
        "geometric_p": 0.2,
        "max_span_length": 10,
        "replacement_method": "span",
        "max_pair_targets": 20,
        "pair_positional_embedding_size": 200,
    }


@pytest.mark.parametrize(("length", "expected"), [(3, 1), (8, 1), (9, 2), (102, 15), (103, 16), (512, 77)])
def test_the_budget_is_rounded_up_and_leaves_out_the_special_tokens(
    objective: SpanBertObjective, length: int, expected: int
) -> None:
    assert objective.num_predictions(length) == expected


def test_every_example_has_its_whole_budget_in_whole_words_but_for_the_last(
    plan: SpanPlan, objective: SpanBertObjective, tokenizer: Tokenizer
) -> None:
    is_continuation = np.array([word.startswith("##") for word in tokenizer.words()])
    for number in range(len(plan.examples.lengths)):
        tokens = plan.examples[number].token_ids
        masked = plan.corrupt(tokens, np.random.default_rng(number))
        assert len(masked.positions) == np.ceil(0.15 * (len(tokens) - 2))
        assert masked.positions[0] >= 1
        assert masked.positions[-1] <= len(tokens) - 2
        hidden = np.zeros(len(tokens), np.bool_)
        hidden[masked.positions] = True
        inside = np.append(is_continuation[tokens[1:-1]], False)
        inside[0] = False  # the text begins with a word, whatever it is
        changes = hidden[1:] != hidden[:-1]
        within_a_word = changes & inside
        assert (~hidden[:-1] & hidden[1:] & inside).sum() == 0
        assert within_a_word.sum() <= 1


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(5, VOCABULARY_SIZE - 1), min_size=1, max_size=60), st.integers(0, 2**32))
def test_the_targets_restore_the_example(
    plan: SpanPlan, tokenizer: Tokenizer, text: list[int], seed: int
) -> None:
    tokens = np.array([tokenizer.special_ids["cls"], *text, tokenizer.special_ids["sep"]])
    masked = plan.corrupt(tokens.copy(), np.random.default_rng(seed))
    restored = masked.token_ids.copy()
    restored[masked.positions] = masked.targets
    assert (restored == tokens).all()


@pytest.mark.parametrize("method", ["span", "word_piece"])
def test_the_fate_is_shared_as_told(method: str, tokenizer: Tokenizer, split: TokenSplit) -> None:
    config = SpanBertObjective.Config(max_length=LENGTH, replacement_method=method)
    plan = SpanBertObjective(config, tokenizer).plan(split, 3, 0)
    mixed = 0
    for number in range(len(plan.examples.lengths)):
        masked = plan.corrupt(plan.examples[number].token_ids, np.random.default_rng(number))
        is_mask = masked.token_ids[masked.positions] == tokenizer.special_ids["mask"]
        for run in np.split(is_mask, np.flatnonzero(np.diff(masked.positions) > 1) + 1):
            mixed += 0 < run.sum() < len(run)
    assert (mixed == 0) == (method == "span")


def test_random_tokens_are_as_frequent_as_in_the_corpus(split: TokenSplit) -> None:
    assert len(split.shards) > 1
    drawn = draw_from_corpus(split, 20_000, np.random.default_rng(0))
    counts = np.bincount(split.tokens())
    occurring = counts > 0
    observed = np.bincount(drawn, minlength=len(counts))
    assert observed[~occurring].sum() == 0
    expected = counts[occurring] * len(drawn) / counts.sum()
    assert stats.chisquare(observed[occurring], expected).pvalue > SIGNIFICANCE


def masked_at(length: int, positions: list[int]) -> MaskedTokens:
    """An example whose token at position `i` was `100 + i`."""
    at = np.array(positions, np.int64)
    return MaskedTokens(np.zeros(length, np.int64), at, at + 100)


def as_lists(masked: MaskedTokens, max_pair_targets: int) -> list[list[int]]:
    asked = boundary_targets(masked, max_pair_targets)
    return [of.tolist() for of in (asked.left, asked.right, asked.places, asked.targets)]


def test_a_token_is_asked_for_by_the_tokens_around_its_span_and_its_place_in_it() -> None:
    left, right, places, targets = as_lists(masked_at(12, [3, 6, 7, 8]), 20)
    assert left == [2, 5, 5, 5]
    assert right == [4, 9, 9, 9]
    assert places == [0, 0, 1, 2]
    assert targets == [103, 106, 107, 108]


def test_a_span_at_the_edge_of_the_text_has_no_boundary_and_a_long_one_is_asked_for_in_part() -> None:
    # [CLS] is 0, [SEP] 11: the text lies from 1 to 10.
    assert as_lists(masked_at(12, [1, 2, 10]), 20) == [[], [], [], []]
    assert as_lists(masked_at(12, []), 20) == [[], [], [], []]
    assert as_lists(masked_at(12, [2, 9]), 20)[3] == [102, 109]
    assert as_lists(masked_at(12, [3, 4, 5, 6, 8]), 3)[3] == [103, 104, 105, 108]


def test_boundaries_in_a_batch_are_shown_tokens_of_the_same_example(
    plan: SpanPlan, tokenizer: Tokenizer
) -> None:
    batch = plan.batch(np.arange(len(plan)))
    assert len(batch.boundary_targets) > 0.5 * len(batch.masked_targets)
    hidden = torch.zeros(batch.token_ids.numel(), dtype=torch.bool)
    hidden[batch.masked_positions] = True
    original = batch.token_ids.flatten().clone()
    original[batch.masked_positions] = batch.masked_targets
    examples = batch.example_numbers.flatten()
    inside = batch.boundary_left + 1 + batch.boundary_places
    assert torch.equal(original[inside], batch.boundary_targets)
    assert hidden[inside].all()
    for boundary in (batch.boundary_left, batch.boundary_right):
        assert not hidden[boundary].any()
        assert torch.equal(examples[boundary], examples[inside])
        assert not torch.isin(original[boundary], torch.tensor([*tokenizer.special_ids.values()])).any()
    assert (batch.boundary_right > inside).all()


def test_the_boundary_loss_is_that_of_two_layers_on_both_vectors_and_the_place(
    objective: SpanBertObjective, plan: SpanPlan, small_config: BertConfig
) -> None:
    torch.manual_seed(0)
    model = objective.build_model(small_config, np.ones(5, np.int64)).eval()
    batch = plan.batch(np.arange(6))
    measures = objective.measure(model, batch)

    vectors, head = model.encode(batch), model.span_boundary
    assert head.places.weight.shape == (20, 200)
    both = [vectors[batch.boundary_left], vectors[batch.boundary_right]]
    hidden = torch.cat([*both, head.places.weight[batch.boundary_places]], dim=1)
    for linear, norm in ((head.combine, head.norm), (head.tokens.transform, head.tokens.norm)):
        hidden = norm(functional.gelu(linear(hidden)))
    scores = hidden @ model.encoder.embeddings.tokens.weight.T + head.tokens.bias
    expected = functional.cross_entropy(scores, batch.boundary_targets)
    torch.testing.assert_close(measures.losses["span_boundary_loss"].mean, expected)
    right = (scores.argmax(-1) == batch.boundary_targets).sum()
    assert int(measures.others["span_boundary_accuracy"].total) == int(right)
    masked = functional.cross_entropy(model.predict_masked(batch), batch.masked_targets)
    torch.testing.assert_close(measures.loss, masked + expected)


def test_both_losses_fall(
    objective: SpanBertObjective,
    plan: SpanPlan,
    small_config: BertConfig,
    train: Callable[..., tuple[dict[str, float], dict[str, float]]],
) -> None:
    config = small_config.model_copy(update={"initializer_range": 0.1, "embedding_size": 8})
    before, after = train(objective, config, plan, 40)
    assert before.keys() == {"masked_loss", "span_boundary_loss"}
    assert after["masked_loss"] < before["masked_loss"] - 0.2
    assert after["span_boundary_loss"] < before["span_boundary_loss"] - 0.2


def test_the_output_biases_may_start_at_the_tokens_frequencies(
    tokenizer: Tokenizer, small_config: BertConfig
) -> None:
    config = SpanBertObjective.Config(max_length=LENGTH, output_bias="token_frequencies")
    counts = np.arange(1, tokenizer.vocabulary_size + 1)
    model = SpanBertObjective(config, tokenizer).build_model(small_config, counts)
    for head in (model.masked_tokens, model.span_boundary.tokens):
        assert (head.bias[: len(counts)].diff() > 0).all()


def test_a_pass_can_be_drawn_again(objective: SpanBertObjective, split: TokenSplit) -> None:
    first, again, other = (objective.plan(split, 3, i).batch(np.arange(5)) for i in (0, 0, 1))
    assert torch.equal(first.token_ids, again.token_ids)
    assert torch.equal(first.boundary_targets, again.boundary_targets)
    assert not torch.equal(first.token_ids, other.token_ids)
