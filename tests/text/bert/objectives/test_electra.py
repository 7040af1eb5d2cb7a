from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn
from torch.nn import functional

from prolepsis.errors import ProlepsisError
from prolepsis.plugins import load
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.objectives.electra import (
    ElectraForPretraining,
    ElectraObjective,
    ElectraPlan,
    generator_config,
    measure_detection,
    replace_tokens,
    sample_tokens,
)
from prolepsis.text.bert.packed import MaskedBatch
from prolepsis.text.token_shards import TokenSplit
from prolepsis.text.tokenizers import Tokenizer

LENGTH = 40
VOCABULARY_SIZE = 86  # the tokenizer's
SIGNIFICANCE = 1e-3


@pytest.fixture
def split(write_shards: Callable[..., Any], random_documents: Callable[..., Any]) -> TokenSplit:
    return write_shards(train=random_documents(1, 60)).split("train")


@pytest.fixture
def objective(tokenizer: Tokenizer) -> ElectraObjective:
    return ElectraObjective(ElectraObjective.Config(max_length=LENGTH), tokenizer)


@pytest.fixture
def plan(objective: ElectraObjective, split: TokenSplit) -> ElectraPlan:
    return objective.plan(split, seed=3, pass_index=0)


@pytest.fixture
def model(objective: ElectraObjective, small_config: BertConfig) -> ElectraForPretraining:
    torch.manual_seed(0)
    return objective.build_model(small_config, np.ones(5, np.int64)).eval()


def test_it_is_found_by_its_name_with_the_originals_values() -> None:
    assert load("prolepsis.pretraining_objectives", "electra") is ElectraObjective
    assert ElectraObjective.Config().model_dump() == {
        "max_length": 128,
        "mlm_probability": 0.15,
        "single_segment_probability": 0.1,
        "random_length_probability": 0.05,
        "generator_size": 0.25,
        "generator_layers": 1.0,
        "discriminator_weight": 50.0,
        "output_bias": "zeros",
    }


def test_positions_are_drawn_with_replacement(objective: ElectraObjective, tokenizer: Tokenizer) -> None:
    special = tokenizer.special_ids
    tokens = np.array([special["cls"], *range(5, 23), special["sep"]])
    assert objective.num_predictions(len(tokens)) == 3
    random = np.random.default_rng(0)
    draws = [objective.corrupt(tokens, random).positions for _ in range(10_000)]
    assert all((np.diff(positions) >= 0).all() for positions in draws)
    distinct = Counter(len(set(positions.tolist())) for positions in draws)
    # Three draws from 18 positions.
    shares = np.array([1, 3 * 17, 17 * 16]) / 18**2
    assert stats.chisquare([distinct[n] for n in (1, 2, 3)], shares * len(draws)).pvalue > SIGNIFICANCE
    often = np.bincount(np.concatenate(draws), minlength=len(tokens))
    assert often[0] == often[-1] == 0
    assert stats.chisquare(often[1:-1]).pvalue > SIGNIFICANCE


def test_of_the_draws_85_percent_make_a_mask_and_15_change_nothing(
    objective: ElectraObjective, tokenizer: Tokenizer
) -> None:
    special = tokenizer.special_ids
    tokens = np.array([special["cls"], *[17] * 18, special["sep"]])
    random = np.random.default_rng(1)
    masked: Counter[int] = Counter()
    drawn: Counter[int] = Counter()
    for _ in range(10_000):
        example = objective.corrupt(tokens, random)
        for position, times in Counter(example.positions.tolist()).items():
            drawn[times] += 1
            masked[times] += int(example.token_ids[position] == special["mask"])
            assert example.token_ids[position] in {special["mask"], 17}
    for times in (1, 2):
        share = 1 - 0.15**times
        assert stats.binomtest(masked[times], drawn[times], share).pvalue > SIGNIFICANCE


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(5, VOCABULARY_SIZE - 1), min_size=1, max_size=60), st.integers(0, 2**32))
def test_the_targets_restore_the_example(
    objective: ElectraObjective, tokenizer: Tokenizer, text: list[int], seed: int
) -> None:
    tokens = np.array([tokenizer.special_ids["cls"], *text, tokenizer.special_ids["sep"]])
    masked = objective.corrupt(tokens.copy(), np.random.default_rng(seed))
    assert len(masked.positions) == max(1, round(0.15 * len(tokens)))
    restored = masked.token_ids.copy()
    restored[masked.positions] = masked.targets
    assert (restored == tokens).all()


def test_tokens_are_sampled_by_their_probability() -> None:
    logits = torch.tensor([0.0, 1.0, -2.0, 0.5])
    sampled = sample_tokens(logits.expand(20_000, -1), torch.Generator().manual_seed(0))
    expected = logits.softmax(0).numpy().astype(np.float64) * len(sampled)
    observed = np.bincount(sampled.numpy(), minlength=4)
    assert stats.chisquare(observed, expected * (len(sampled) / expected.sum())).pvalue > SIGNIFICANCE


def test_logits_that_are_no_numbers_give_tokens_and_not_an_error_that_hides_them() -> None:
    sampled = sample_tokens(torch.full((3, 4), torch.nan), torch.Generator().manual_seed(0))
    assert ((sampled >= 0) & (sampled < 4)).all()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.integers(0, 100))
def test_a_token_counts_as_replaced_only_if_it_is_another_one(
    plan: ElectraPlan, seed: int, first_row: int
) -> None:
    batch = plan.batch(np.array([first_row % len(plan), 5]))
    original = batch.token_ids.flatten().clone()
    original[batch.masked_positions] = batch.masked_targets
    random = torch.Generator().manual_seed(seed)
    others = torch.randint(5, VOCABULARY_SIZE, batch.masked_targets.shape, generator=random)
    as_before = torch.rand(len(others), generator=random) < 0.5
    sampled = torch.where(as_before, batch.masked_targets, others)
    token_ids, is_replaced = replace_tokens(batch, sampled)
    expected = original.clone()
    for position, token in reversed(list(zip(batch.masked_positions, sampled, strict=True))):
        expected[position] = token
    assert torch.equal(token_ids.flatten(), expected)
    assert torch.equal(is_replaced.flatten(), expected != original)


def test_validation_replaces_the_same_tokens_every_time(
    objective: ElectraObjective, plan: ElectraPlan, model: ElectraForPretraining
) -> None:
    batch = plan.batch(np.arange(6))
    state = torch.get_rng_state()
    first, again = objective.measure(model, batch), objective.measure(model, batch)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.loss, again.loss)
    seen = inputs_of_the_discriminator(objective, model, batch)
    other = inputs_of_the_discriminator(objective, model, plan.batch(np.arange(6, 12)))
    assert seen.shape == other.shape
    assert not torch.equal(seen, other)


def test_training_draws_from_the_generator_that_checkpoints_hold(
    objective: ElectraObjective, plan: ElectraPlan, model: ElectraForPretraining
) -> None:
    without_dropout(model)
    model.train()
    batch = plan.batch(np.arange(6))
    torch.manual_seed(5)
    first, second = (inputs_of_the_discriminator(objective, model, batch) for _ in range(2))
    torch.manual_seed(5)
    again = inputs_of_the_discriminator(objective, model, batch)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_the_losses_are_those_of_all_real_tokens_and_of_the_hidden_ones(
    objective: ElectraObjective, plan: ElectraPlan, model: ElectraForPretraining
) -> None:
    batch = plan.batch(np.arange(8))
    assert len(batch.real_positions) == batch.num_real_tokens < batch.token_ids.numel()
    measures = objective.measure(model, batch)
    token_ids = inputs_of_the_discriminator(objective, model, batch)

    mask = batch.example_numbers[:, None, :, None] == batch.example_numbers[:, None, None, :]
    generated = model.generator(batch.token_ids, batch.token_types, batch.positions, mask).flatten(0, 1)
    masked = functional.cross_entropy(
        model.masked_logits(generated[batch.masked_positions]), batch.masked_targets
    )
    hidden = model.encoder(token_ids, batch.token_types, batch.positions, mask)
    original = batch.token_ids.flatten().clone()
    original[batch.masked_positions] = batch.masked_targets
    truth = token_ids.flatten() != original
    logits = model.discriminator(hidden.flatten(0, 1))
    real = batch.example_numbers.flatten() >= 0
    detection = functional.binary_cross_entropy_with_logits(logits[real], truth[real].float())
    torch.testing.assert_close(measures.others["replaced_token_loss"].mean, detection)
    torch.testing.assert_close(measures.loss, masked + 50 * detection)

    found = logits[real] > 0
    right = int((found & truth[real]).sum())
    accuracy = measures.others["replaced_token_accuracy"]
    assert (int(accuracy.total), accuracy.count) == (int((found == truth[real]).sum()), int(real.sum()))
    precision, recall = (measures.others[f"replaced_token_{name}"] for name in ("precision", "recall"))
    assert (int(precision.total), precision.count) == (right, int(found.sum()))
    assert (int(recall.total), recall.count) == (right, int(truth.sum()))


def test_precision_and_recall_are_left_to_validation() -> None:
    logits, truth = torch.tensor([2.0, -1.0, 3.0, -2.0]), torch.tensor([True, True, False, False])
    assert measure_detection(logits, truth, complete=False).keys() == {
        "replaced_token_loss",
        "replaced_token_accuracy",
        "original_share",
    }
    complete = measure_detection(logits, truth, complete=True)
    means = {name: float(measure.mean) for name, measure in complete.items()}
    assert means.pop("replaced_token_loss") == pytest.approx(
        float(functional.softplus(torch.tensor([-2.0, 1.0, 3.0, -2.0])).mean())
    )
    assert set(means.values()) == {0.5}


def test_no_gradient_reaches_the_generator_through_its_samples_and_both_losses_reach_the_embeddings(
    objective: ElectraObjective, plan: ElectraPlan, model: ElectraForPretraining
) -> None:
    own = [*model.generator.layers.parameters(), *model.masked_tokens.parameters()]
    assert model.generator.projection is not None
    own += model.generator.projection.parameters()
    shared = list(model.encoder.embeddings.parameters())
    assert model.generator.embeddings is model.encoder.embeddings
    measures = objective.measure(model, plan.batch(np.arange(6)))

    gradients = gradients_of(measures.losses["weighted_replaced_token_loss"].total, [*own, *shared])
    assert all(gradient is None for gradient in gradients[: len(own)])
    assert all(gradient is not None and gradient.any() for gradient in gradients[len(own) :])
    gradients = gradients_of(measures.losses["masked_loss"].total, [*own, *shared])
    assert all(gradient is not None for gradient in gradients)
    assert all(gradient.any() for gradient in gradients[len(own) :])
    only_discriminator = [*model.encoder.layers.parameters(), *model.discriminator.parameters()]
    assert all(
        gradient is None
        for gradient in gradients_of(measures.losses["masked_loss"].total, only_discriminator)
    )


def test_both_losses_fall(
    objective: ElectraObjective,
    plan: ElectraPlan,
    small_config: BertConfig,
    train: Callable[..., tuple[dict[str, float], dict[str, float]]],
) -> None:
    config = small_config.model_copy(update={"initializer_range": 0.1, "embedding_size": 12})
    before, after = train(objective, config, plan, 60)
    assert before.keys() == {"masked_loss", "weighted_replaced_token_loss"}
    assert after["masked_loss"] < before["masked_loss"] - 0.1
    assert after["weighted_replaced_token_loss"] < before["weighted_replaced_token_loss"] - 1


def test_electra_small_has_the_parameters_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    config = BertConfig(
        hidden_size=256,
        num_attention_heads=4,
        intermediate_size=1024,
        embedding_size=128,
        layer_norm_eps=1e-12,
    )
    generator = generator_config(config, 0.25, 1.0)
    with torch.device("meta"):
        model = ElectraForPretraining(config, generator)
        theirs = transformers.ElectraForPreTraining(transformers.ElectraConfig())
        their_generator = transformers.ElectraForMaskedLM(
            transformers.ElectraConfig(hidden_size=64, num_attention_heads=1, intermediate_size=256)
        )
        their_generator.tie_weights()
    discriminator = num_parameters(model.encoder) + num_parameters(model.discriminator)
    assert discriminator == num_parameters(theirs)
    embeddings = num_parameters(model.encoder.embeddings)
    assert num_parameters(model) == discriminator + num_parameters(their_generator) - embeddings


def test_the_generator_is_narrower_and_shares_the_width_of_the_embeddings() -> None:
    base = generator_config(BertConfig(), 0.33333, 1.0)
    assert (base.hidden_size, base.num_attention_heads, base.intermediate_size) == (256, 4, 1024)
    assert (base.embedding_size, base.num_hidden_layers) == (768, 12)
    shallow = generator_config(BertConfig(embedding_size=192), 0.25, 0.5)
    assert (shallow.hidden_size, shallow.embedding_size, shallow.num_hidden_layers) == (192, None, 6)


def test_a_generator_whose_heads_do_not_divide_its_width_is_refused() -> None:
    with pytest.raises(ProlepsisError, match="must be a multiple of num_attention_heads"):
        generator_config(BertConfig(), 0.26, 1.0)


def test_a_model_without_a_second_token_type_is_refused(objective: ElectraObjective) -> None:
    with pytest.raises(ProlepsisError, match="two token types"):
        objective.build_model(BertConfig(type_vocab_size=1), np.ones(5, np.int64))


def inputs_of_the_discriminator(
    objective: ElectraObjective, model: ElectraForPretraining, batch: MaskedBatch
) -> torch.Tensor:
    seen: list[torch.Tensor] = []
    hook = model.encoder.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    objective.measure(model, batch)
    hook.remove()
    return seen[0]


def without_dropout(model: nn.Module) -> None:
    for module in model.modules():
        for name in ("probability", "dropout_probability"):
            if hasattr(module, name):
                setattr(module, name, 0.0)


def gradients_of(loss: torch.Tensor, parameters: list[nn.Parameter]) -> tuple[torch.Tensor | None, ...]:
    return torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)


def num_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
