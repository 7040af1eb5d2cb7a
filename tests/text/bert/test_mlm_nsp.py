from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch.nn import functional

from prolepsis.errors import ProlepsisError
from prolepsis.plugins import PluginChoice, load
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.masking import num_predictions
from prolepsis.text.bert.objectives.mlm_nsp import MaskedLanguageModelNextSentence
from prolepsis.text.bert.packed import MaskedBatch, PackedPlan
from prolepsis.text.token_shards import TokenSplit
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.tokenizers.byte_bpe import ByteLevelBytePairTrainer

LENGTH = 40


@pytest.fixture
def split(write_shards: Callable[..., Any], random_documents: Callable[..., Any]) -> TokenSplit:
    return write_shards(train=random_documents(1, 150)).split("train")


@pytest.fixture
def objective(tokenizer: Tokenizer) -> MaskedLanguageModelNextSentence:
    config = MaskedLanguageModelNextSentence.Config(max_length=LENGTH, max_predictions=20)
    return MaskedLanguageModelNextSentence(config, tokenizer)


@pytest.fixture
def plan(objective: MaskedLanguageModelNextSentence, split: TokenSplit) -> PackedPlan:
    return objective.plan(split, seed=3, pass_index=0)


def test_it_is_found_by_its_name() -> None:
    class Objective(PluginChoice):
        group = "prolepsis.pretraining_objectives"

    assert load(Objective.group, "mlm_nsp") is MaskedLanguageModelNextSentence
    with pytest.raises(ProlepsisError, match="max_lenght"):
        Objective(plugin="mlm_nsp", config={"max_lenght": 128})


def test_a_pass_has_every_example_once_and_rows_in_random_order(plan: PackedPlan) -> None:
    whole = plan.batch(np.arange(len(plan)))
    assert len(whole.first_positions) == len(plan.examples.pairs)
    assert whole.num_real_tokens == plan.num_real_tokens == plan.examples.pairs.lengths.sum()
    assert sorted(plan.order) == list(range(len(plan)))
    assert plan.order.tolist() != sorted(plan.order)


def test_rows_hold_framed_segments_with_types_and_positions_of_their_own(
    plan: PackedPlan, tokenizer: Tokenizer
) -> None:
    rows = np.arange(len(plan))
    batch, original = plan.batch(rows), unmasked(plan.batch(rows))
    special = tokenizer.special_ids
    for tokens, types, positions, numbers in zip(
        original, batch.token_types, batch.positions, batch.example_numbers, strict=True
    ):
        assert (tokens[numbers == -1] == special["pad"]).all()
        for number in range(int(numbers.max()) + 1):
            inside = numbers == number
            example, kinds = tokens[inside].tolist(), types[inside].tolist()
            separators = [i for i, token in enumerate(example) if token == special["sep"]]
            assert example[0] == special["cls"]
            assert len(separators) == 2
            assert separators[1] == len(example) - 1
            assert kinds == [0] * (separators[0] + 1) + [1] * (len(example) - separators[0] - 1)
            assert positions[inside].tolist() == list(range(len(example)))


def test_the_hidden_tokens_are_as_many_as_berts_rule_says_and_never_special(
    plan: PackedPlan, tokenizer: Tokenizer
) -> None:
    batch = plan.batch(np.arange(len(plan)))
    assert len(batch.masked_positions) == sum(
        num_predictions(n, 0.15, 20) for n in plan.examples.pairs.lengths
    )
    assert len(set(batch.masked_positions.tolist())) == len(batch.masked_positions)
    special = {tokenizer.special_ids[part] for part in ("cls", "sep", "pad")}
    assert not special & set(batch.masked_targets.tolist())
    masked = batch.token_ids.flatten()[batch.masked_positions] == tokenizer.special_ids["mask"]
    assert 0.75 < float(masked.float().mean()) < 0.85


def test_the_targets_and_labels_are_those_of_the_examples(plan: PackedPlan, split: TokenSplit) -> None:
    rows = np.array([4, 0, 9])
    batch = plan.batch(rows)
    expected = [example for row in rows for example in plan.packed.row(plan.order[row])]
    labels = [int(plan.examples.pairs.label[example]) for example in expected]
    assert batch.labels.tolist() == labels
    flat = unmasked(batch).flatten()
    for example, first in zip(expected, batch.first_positions.tolist(), strict=True):
        tokens = plan.examples[int(example)].token_ids
        assert flat[first : first + len(tokens)].tolist() == tokens.tolist()
        document = split.document(int(plan.examples.pairs.document_a[example]))
        a = document[plan.examples.pairs.start_a[example] : plan.examples.pairs.stop_a[example]]
        assert tokens[1 : 1 + len(a)].tolist() == a.tolist()


def test_static_duplicates_are_taken_in_turn(
    objective: MaskedLanguageModelNextSentence, tokenizer: Tokenizer, split: TokenSplit
) -> None:
    config = objective.config.model_copy(update={"dupe_factor": 3})
    static = MaskedLanguageModelNextSentence(config, tokenizer)

    def first_row(chosen: MaskedLanguageModelNextSentence, pass_index: int) -> list[int]:
        tokens: list[int] = chosen.plan(split, 3, pass_index).batch(np.array([0])).token_ids[0].tolist()
        return tokens

    assert [first_row(static, i) for i in range(3)] == [first_row(objective, i) for i in range(3)]
    assert first_row(static, 4) == first_row(objective, 1) != first_row(objective, 4)


def test_a_row_is_the_same_whenever_and_in_whatever_batch_it_is_made(
    objective: MaskedLanguageModelNextSentence, split: TokenSplit
) -> None:
    together = objective.plan(split, 3, 0).batch(np.array([7, 2, 5]))
    for place, row in enumerate((7, 2, 5)):
        alone = objective.plan(split, 3, 0).batch(np.array([row]))
        for name in ("token_ids", "token_types", "positions", "example_numbers"):
            assert torch.equal(getattr(together, name)[place], getattr(alone, name)[0])
        here = together.masked_positions // LENGTH == place
        assert torch.equal(together.masked_targets[here], alone.masked_targets)


def test_each_pass_hides_other_tokens_of_the_same_example(
    objective: MaskedLanguageModelNextSentence, split: TokenSplit
) -> None:
    first = objective.plan(split, 3, 0)
    again = replace(first, pass_index=1)
    rows = np.arange(len(first))
    assert torch.equal(unmasked(first.batch(rows)), unmasked(again.batch(rows)))
    shared = set(first.batch(rows).masked_positions.tolist()) & set(
        again.batch(rows).masked_positions.tolist()
    )
    assert len(shared) < 0.25 * len(first.batch(rows).masked_positions)


@pytest.mark.parametrize("output_bias", ["zeros", "token_frequencies"])
def test_the_output_bias_starts_as_told(
    output_bias: Literal["zeros", "token_frequencies"], tokenizer: Tokenizer, small_config: BertConfig
) -> None:
    config = MaskedLanguageModelNextSentence.Config(max_length=LENGTH, output_bias=output_bias)
    counts = np.arange(1, tokenizer.vocabulary_size + 1)
    bias = (
        MaskedLanguageModelNextSentence(config, tokenizer)
        .build_model(small_config, counts)
        .masked_tokens.bias
    )
    if output_bias == "zeros":
        assert not bias.any()
    else:
        assert (bias[: len(counts)].diff() > 0).all()


def test_the_paper_starts_the_output_bias_at_zeros(objective: MaskedLanguageModelNextSentence) -> None:
    assert objective.config.output_bias == "zeros"


def test_losses_and_accuracies_are_those_of_the_whole_output(
    objective: MaskedLanguageModelNextSentence, plan: PackedPlan, small_config: BertConfig
) -> None:
    torch.manual_seed(0)
    model = objective.build_model(small_config, np.ones(5, np.int64)).eval()
    batch = plan.batch(np.arange(8)).to(torch.device("cpu"))
    measures = objective.measure(model, batch)

    mask = batch.example_numbers[:, None, :, None] == batch.example_numbers[:, None, None, :]
    hidden = model.encoder(batch.token_ids, batch.token_types, batch.positions, mask)
    labels = torch.full_like(batch.token_ids, -100).flatten()
    labels[batch.masked_positions] = batch.masked_targets
    scores = model.masked_logits(hidden).flatten(0, 1)
    expected = functional.cross_entropy(scores, labels)
    torch.testing.assert_close(measures.losses["masked_loss"].mean, expected)
    right = (scores.argmax(-1) == labels).sum()
    assert int(measures.others["masked_accuracy"].total) == int(right)

    following = model.sentence_pairs(hidden.flatten(0, 1)[batch.first_positions])
    expected = functional.cross_entropy(following, batch.labels)
    torch.testing.assert_close(measures.losses["next_sentence_loss"].mean, expected)
    assert measures.others["next_sentence_accuracy"].count == len(batch.first_positions)
    torch.testing.assert_close(measures.loss, sum(measure.mean for measure in measures.losses.values()))


@pytest.mark.parametrize("changes", [{"mlm_probability": 0.4}, {"max_predictions": 1}])
def test_validation_hides_15_percent_whatever_training_hides(
    changes: dict[str, Any], tokenizer: Tokenizer, split: TokenSplit
) -> None:
    config = MaskedLanguageModelNextSentence.Config(max_length=LENGTH, **changes)
    plan = MaskedLanguageModelNextSentence(config, tokenizer).for_validation().plan(split, 3, 0)
    batch = plan.batch(np.arange(len(plan)))
    assert len(batch.masked_targets) / batch.num_real_tokens == pytest.approx(0.15, abs=0.01)


def test_a_tokenizer_without_mask_and_separator_is_refused() -> None:
    trainer = ByteLevelBytePairTrainer(
        ByteLevelBytePairTrainer.Config(vocabulary_size=260, special_tokens={"pad": "[PAD]"})
    )
    with pytest.raises(ProlepsisError, match="lacks: cls, sep, mask"):
        MaskedLanguageModelNextSentence(
            MaskedLanguageModelNextSentence.Config(), trainer.train([["some text"]])
        )


def test_a_model_without_a_second_token_type_is_refused(objective: MaskedLanguageModelNextSentence) -> None:
    with pytest.raises(ProlepsisError, match="two token types"):
        objective.build_model(BertConfig(type_vocab_size=1), np.ones(5, np.int64))


def unmasked(batch: MaskedBatch) -> torch.Tensor:
    tokens = batch.token_ids.clone().flatten()
    tokens[batch.masked_positions] = batch.masked_targets
    return tokens.view_as(batch.token_ids)
