from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from prolepsis.errors import ProlepsisError
from prolepsis.text.bert.attention import block_attention_mask
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.hugging_face import PretrainedBert
from prolepsis.text.bert.objective import Measure, PretrainingObjective
from prolepsis.text.bert.objectives.bart import BartObjective
from prolepsis.text.bert.objectives.mass import MassObjective
from prolepsis.text.bert.objectives.t5 import T5Objective
from prolepsis.text.bert.pretraining import pretrain
from prolepsis.text.bert.sequence_to_sequence import (
    EncoderDecoder,
    SequenceToSequenceBatch,
    SequenceToSequenceObjective,
    pack_pairs,
)
from prolepsis.text.token_shards import TokenSplit
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.tokenizers.byte_bpe import ByteLevelBytePairTrainer
from prolepsis.training.config import OptimizerConfig, TrainingConfig

LENGTH = 40
OBJECTIVES = [MassObjective, BartObjective, T5Objective]
FORMS: dict[str, dict[str, Any]] = {
    "bert": {},
    "pre-norm, rotary, gated": {
        "norm_first": True,
        "position_embedding_type": "rotary",
        "gated_feed_forward": True,
        "hidden_act": "silu",
    },
    "factorised, shared": {"embedding_size": 6, "num_hidden_groups": 1},
}


@pytest.fixture
def split(write_shards: Callable[..., Any], random_documents: Callable[..., Any]) -> TokenSplit:
    return write_shards(train=random_documents(1, 48)).split("train")


@pytest.fixture(params=OBJECTIVES, ids=lambda cls: cls.name)
def objective(request: pytest.FixtureRequest, tokenizer: Tokenizer) -> SequenceToSequenceObjective:
    return request.param(request.param.Config(max_length=LENGTH), tokenizer)


@pytest.fixture
def room_for_sentinels(small_config: BertConfig) -> BertConfig:
    return small_config.model_copy(update={"vocab_size": small_config.vocab_size + 4})


def build(objective: PretrainingObjective, config: BertConfig, **form: Any) -> EncoderDecoder:
    torch.manual_seed(0)
    model = objective.build_model(config.model_copy(update=form), np.ones(5, np.int64)).eval()
    assert isinstance(model, EncoderDecoder)
    return model


def test_every_example_is_used_once_and_rows_come_in_random_order(
    objective: SequenceToSequenceObjective, split: TokenSplit
) -> None:
    plan = objective.plan(split, seed=3, pass_index=0)
    batch = plan.batch(np.arange(len(plan)))
    assert sorted(plan.packed.examples) == list(range(len(plan.pairs.source_lengths)))
    assert batch.num_real_tokens == plan.num_real_tokens == plan.pairs.source_lengths.sum()
    assert batch.num_target_tokens == plan.pairs.target_lengths.sum()
    assert batch.token_ids.shape == (len(plan), objective.max_length)
    assert batch.decoder_ids.shape == (len(plan), objective.target_length)
    assert sorted(plan.order) == list(range(len(plan)))
    assert plan.order.tolist() != sorted(plan.order)


def test_lengths_are_those_that_were_announced_and_every_example_fits(
    objective: SequenceToSequenceObjective, split: TokenSplit
) -> None:
    plan = objective.plan(split, seed=3, pass_index=1)
    pairs = [plan.pair(number) for number in range(len(plan.pairs.source_lengths))]
    assert [len(pair.source_ids) for pair in pairs] == plan.pairs.source_lengths.tolist()
    assert [len(pair.target_ids) for pair in pairs] == plan.pairs.target_lengths.tolist()
    assert max(plan.pairs.source_lengths) <= objective.max_length
    assert max(plan.pairs.target_lengths) <= objective.longest_target <= objective.target_length


def test_rows_hold_the_same_examples_on_both_sides(
    objective: SequenceToSequenceObjective, split: TokenSplit, tokenizer: Tokenizer
) -> None:
    plan = objective.plan(split, seed=3, pass_index=0)
    rows = np.array([4, 0, 9])
    batch = plan.batch(rows)
    targets = iter(batch.masked_targets.split(batch.decoder_numbers.ge(0).sum(dim=1).tolist()))
    for row, planned in enumerate(plan.order[rows]):
        numbers, decoder_numbers = batch.example_numbers[row], batch.decoder_numbers[row]
        expected = [plan.pair(int(example)) for example in plan.packed.row(planned)]
        assert len(expected) == int(numbers.max()) + 1 == int(decoder_numbers.max()) + 1
        assert (batch.token_ids[row][numbers < 0] == tokenizer.special_ids["pad"]).all()
        assert next(targets).tolist() == np.concatenate([pair.target_ids for pair in expected]).tolist()
        for number, pair in enumerate(expected):
            inside, decoded = numbers == number, decoder_numbers == number
            assert batch.token_ids[row][inside].tolist() == pair.source_ids.tolist()
            assert batch.positions[row][inside].tolist() == list(range(len(pair.source_ids)))
            assert (batch.visible_numbers[row][inside] == number).tolist() == pair.is_visible.tolist()
            assert batch.decoder_ids[row][decoded].tolist() == pair.decoder_ids.tolist()
            assert batch.decoder_positions[row][decoded].tolist() == pair.decoder_positions.tolist()


def test_a_row_is_the_same_whenever_and_in_whatever_batch_it_is_made(
    objective: SequenceToSequenceObjective, split: TokenSplit
) -> None:
    together = objective.plan(split, 3, 0).batch(np.array([7, 2, 5]))
    for place, row in enumerate((7, 2, 5)):
        alone = objective.plan(split, 3, 0).batch(np.array([row]))
        for name in ("token_ids", "positions", "visible_numbers", "decoder_ids", "decoder_positions"):
            assert torch.equal(getattr(together, name)[place], getattr(alone, name)[0])
        here = together.masked_positions // objective.target_length == place
        assert torch.equal(together.masked_targets[here], alone.masked_targets)


def test_passes_and_seeds_corrupt_the_same_example_in_other_ways(
    objective: SequenceToSequenceObjective, split: TokenSplit
) -> None:
    first = objective.plan(split, 3, 0)
    longest = int(first.pairs.target_lengths.argmax())
    others = [objective.plan(split, 3, 1), objective.plan(split, 4, 0)]
    for other in others:
        assert first.pair(longest).source_ids.tolist() != other.pair(longest).source_ids.tolist()


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 9)), max_size=60))
def test_packed_rows_have_room_for_both_sides(pairs: list[tuple[int, int]]) -> None:
    sources, targets = np.array(pairs, np.int64).reshape(-1, 2).T
    packed = pack_pairs(sources, targets, 20, 9)
    assert sorted(packed.examples.tolist()) == list(range(len(pairs)))
    for index in range(len(packed)):
        assert 0 < sources[packed.row(index)].sum() <= 20
        assert targets[packed.row(index)].sum() <= 9


def test_packed_rows_are_full_where_both_sides_can_be() -> None:
    targets = np.random.default_rng(0).integers(3, 65, size=20_000)
    sources = np.random.default_rng(1).binomial(targets, 0.8) + 1
    packed = pack_pairs(sources, targets, 107, 128)
    assert sources.sum() / (len(packed) * 107) > 0.96
    assert targets.sum() / (len(packed) * 128) > 0.96


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_an_example_in_a_row_of_several_has_the_logits_that_it_has_alone(
    objective: SequenceToSequenceObjective,
    split: TokenSplit,
    room_for_sentinels: BertConfig,
    form: dict[str, Any],
) -> None:
    model = build(objective, room_for_sentinels, **form)
    plan = objective.plan(split, 3, 0)
    batch = plan.batch(np.arange(12))
    with torch.no_grad():
        packed = model.predict(batch)
    assert torch.isfinite(packed).all()
    assert float(packed.std()) > 0.05
    examples = [int(example) for row in plan.order[:12] for example in plan.packed.row(row)]
    assert len(examples) > 12
    logits = packed.split(plan.pairs.target_lengths[examples].tolist())
    for example, expected in zip(examples, logits, strict=True):
        with torch.no_grad():
            alone = model.predict(alone_in_a_row(plan.pair(example)))
        torch.testing.assert_close(expected, alone, rtol=1e-5, atol=1e-5)


def test_without_the_masks_the_same_rows_would_have_other_logits(
    objective: SequenceToSequenceObjective, split: TokenSplit, room_for_sentinels: BertConfig
) -> None:
    model = build(objective, room_for_sentinels)
    batch = objective.plan(split, 3, 0).batch(np.arange(6))
    merged = SequenceToSequenceBatch(
        **vars(batch)
        | {
            name: torch.zeros_like(getattr(batch, name))
            for name in ("example_numbers", "visible_numbers", "decoder_numbers")
        }
    )
    with torch.no_grad():
        difference = (model.predict(batch) - model.predict(merged)).abs()
    assert float(difference.mean()) > 1e-2


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_decoder_sees_no_later_target_token(
    objective: SequenceToSequenceObjective,
    split: TokenSplit,
    room_for_sentinels: BertConfig,
    form: dict[str, Any],
) -> None:
    model = build(objective, room_for_sentinels, **form)
    plan = objective.plan(split, 3, 0)
    batch = alone_in_a_row(plan.pair(int(plan.pairs.target_lengths.argmax())))
    with torch.no_grad():
        before = model.predict(batch)
        for place in (1, batch.decoder_ids.shape[1] // 2, batch.decoder_ids.shape[1] - 1):
            changed = batch.decoder_ids.clone()
            changed[0, place] = 7 if changed[0, place] == 8 else 8
            after = model.predict(SequenceToSequenceBatch(**vars(batch) | {"decoder_ids": changed}))
            torch.testing.assert_close(after[:place], before[:place], rtol=1e-5, atol=1e-5)
            assert float((after[place:] - before[place:]).abs().amax(dim=1).min()) > 1e-3


def test_what_the_decoder_writes_step_by_step_is_what_it_predicts_when_given_it(
    objective: SequenceToSequenceObjective, split: TokenSplit, room_for_sentinels: BertConfig
) -> None:
    model = build(objective, room_for_sentinels)
    assert model.decoder.positions is not None
    # Else the decoder repeats itself, and there would be little to compare.
    torch.nn.init.normal_(model.decoder.positions.weight, std=3.0)
    plan = objective.plan(split, 3, 0)
    pair = plan.pair(int(plan.pairs.target_lengths.argmax()))
    batch = alone_in_a_row(pair)
    written, steps = [int(pair.decoder_ids[0])], []
    with torch.no_grad():
        encoded = model.encode(batch)
        for _ in range(len(pair.target_ids)):
            length = len(written)
            hidden = model.decoder(
                torch.tensor([written]),
                batch.decoder_positions[:, :length],
                encoded,
                (
                    torch.ones(length, length, dtype=torch.bool).tril()[None, None],
                    block_attention_mask(torch.zeros(1, length), batch.visible_numbers),
                ),
                model.token_embeddings,
            )
            steps.append(model.output(hidden[0, -1:], model.token_embeddings))
            written.append(int(steps[-1].argmax()))
        taught = model.predict(
            SequenceToSequenceBatch(**vars(batch) | {"decoder_ids": torch.tensor([written[:-1]])})
        )
    assert len(set(written)) > 3
    torch.testing.assert_close(torch.cat(steps), taught, rtol=1e-5, atol=1e-5)
    assert taught.argmax(dim=-1).tolist() == written[1:]


def test_padded_targets_of_a_full_row_of_sources_do_no_harm(
    objective: SequenceToSequenceObjective, split: TokenSplit, room_for_sentinels: BertConfig
) -> None:
    model = build(objective, room_for_sentinels, attention_probs_dropout_prob=0.1).train()
    plan = objective.plan(split, 3, 0)
    alone = alone_in_a_row(plan.pair(int(plan.pairs.target_lengths.argmax())))
    padding = {"decoder_ids": 0, "decoder_positions": 0, "decoder_numbers": -1}
    batch = SequenceToSequenceBatch(
        **vars(alone)
        | {name: functional.pad(getattr(alone, name), (0, 3), value=of) for name, of in padding.items()}
    )
    logits = model.predict(batch)
    logits.sum().backward()
    assert len(logits) == len(alone.masked_targets)
    assert torch.isfinite(logits).all()
    assert all(torch.isfinite(of.grad).all() for of in model.parameters() if of.grad is not None)


def test_losses_and_accuracies_are_means_over_target_tokens(
    objective: SequenceToSequenceObjective, split: TokenSplit, room_for_sentinels: BertConfig
) -> None:
    model = build(objective, room_for_sentinels)
    batch = objective.plan(split, 3, 0).batch(np.arange(8)).to(torch.device("cpu"))
    with torch.no_grad():
        measures = objective.measure(model, batch)
        decoded = model.decode(batch, model.encode(batch))
    labels = torch.full_like(batch.decoder_ids, -100).flatten()
    labels[batch.masked_positions] = batch.masked_targets
    scores = model.output(decoded.flatten(0, 1), model.token_embeddings)
    assert isinstance(measures.losses["masked_loss"], Measure)
    torch.testing.assert_close(measures.losses["masked_loss"].mean, functional.cross_entropy(scores, labels))
    assert measures.losses["masked_loss"].count == batch.num_target_tokens
    assert int(measures.others["masked_accuracy"].total) == int((scores.argmax(-1) == labels).sum())


def test_training_lowers_the_loss_and_reaches_every_part(
    objective: SequenceToSequenceObjective, split: TokenSplit, room_for_sentinels: BertConfig
) -> None:
    model = build(objective, room_for_sentinels, initializer_range=0.05, hidden_dropout_prob=0.0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    batch = objective.plan(split, 3, 0).batch(np.arange(8))
    losses = []
    for _ in range(40):
        loss = objective.measure(model, batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(np.log(room_for_sentinels.vocab_size), rel=0.1)
    assert losses[-1] < 0.75 * losses[0]
    without = [name for name, of in model.named_parameters() if of.grad is None or not of.grad.any()]
    assert not without


def test_pretraining_keeps_the_encoder_that_transformers_computes_too(
    objective: SequenceToSequenceObjective,
    write_shards: Callable[..., Any],
    random_documents: Callable[..., Any],
    room_for_sentinels: BertConfig,
    tmp_path: Path,
) -> None:
    transformers = pytest.importorskip("transformers")
    shards = write_shards(train=random_documents(1, 24), val=random_documents(2, 8))
    training = TrainingConfig(
        epochs=1,
        batch_size=4,
        optimizer=OptimizerConfig(name="bert_adamw", learning_rate=1e-3, eps=1e-6),
        device="cpu",
        checkpoint_directory=tmp_path / "checkpoints",
        monitor="validation_loss",
        monitor_mode="min",
    )
    result = pretrain(objective.tokenizer, shards, objective, room_for_sentinels, training, steps_per_epoch=3)
    assert result.metrics["validation_loss"] == result.metrics["validation_masked_loss"]
    assert 0.5 < (result.metrics["real_token_share"] or 0) <= 1
    assert (result.metrics["model_flop_utilisation"] or 0) > 0

    result.model.save(tmp_path / "model")
    loaded = PretrainedBert.load(tmp_path / "model")
    assert loaded.weights.keys() == result.model.weights.keys()
    theirs = transformers.AutoModel.from_pretrained(tmp_path / "model").eval()
    tokens = torch.randint(5, 80, (2, 20), generator=torch.Generator().manual_seed(0))
    positions = torch.arange(20).expand_as(tokens)
    with torch.no_grad():
        ours = loaded.encoder(tokens, torch.zeros_like(tokens), positions)
        torch.testing.assert_close(ours, theirs(tokens).last_hidden_state, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("given_layers", "expected"), [(None, 2), (1, 1), (3, 3)])
def test_the_decoder_has_as_many_layers_as_told(
    given_layers: int | None, expected: int, tokenizer: Tokenizer, small_config: BertConfig
) -> None:
    config = MassObjective.Config(max_length=LENGTH, num_decoder_layers=given_layers)
    assert len(build(MassObjective(config, tokenizer), small_config).decoder.layers) == expected


@pytest.mark.parametrize("cls", OBJECTIVES)
def test_the_outputs_bias_starts_as_told(
    cls: type[SequenceToSequenceObjective], tokenizer: Tokenizer, room_for_sentinels: BertConfig
) -> None:
    counts = np.arange(1, tokenizer.vocabulary_size + 1)

    def bias(output_bias: str) -> Tensor | None:
        config = cls.Config(max_length=LENGTH, output_bias=output_bias)
        return cls(config, tokenizer).build_model(room_for_sentinels, counts).output.bias

    assert bias("none") is None
    zeros, frequencies = bias("zeros"), bias("token_frequencies")
    assert zeros is not None
    assert not zeros.any()
    assert frequencies is not None
    targets = cls(cls.Config(max_length=LENGTH), tokenizer).target_counts(counts)
    expected = torch.ones(room_for_sentinels.vocab_size, dtype=torch.float64)
    expected[: len(targets)] += torch.from_numpy(targets)
    torch.testing.assert_close(frequencies.exp().double(), expected / expected.sum())


def test_only_mass_has_an_output_bias_by_itself() -> None:
    assert [cls.Config().output_bias for cls in OBJECTIVES] == ["zeros", "none", "none"]


def test_shortened_rows_keep_the_proportion_of_sources_and_targets(
    objective: SequenceToSequenceObjective,
) -> None:
    short = objective.shortened(20)
    assert short.max_length == 20
    assert short.target_length == short.longest_target
    longer = objective.config.model_copy(update={"target_length": 80})
    assert type(objective)(longer, objective.tokenizer).shortened(20).target_length == 40
    least = objective.config.model_copy(update={"target_length": objective.longest_target})
    assert type(objective)(least, objective.tokenizer).shortened(21).target_length >= 21 // 4


def test_rows_too_short_for_the_longest_target_are_refused(tokenizer: Tokenizer) -> None:
    config = BartObjective.Config(max_length=LENGTH, target_length=LENGTH - 1)
    with pytest.raises(ProlepsisError, match=f"39 target tokens do not hold the {LENGTH}") as error:
        BartObjective(config, tokenizer)
    assert error.value.where == "target_length"


def test_a_tokenizer_without_mask_and_separator_is_refused(objective: SequenceToSequenceObjective) -> None:
    trainer = ByteLevelBytePairTrainer(
        ByteLevelBytePairTrainer.Config(vocabulary_size=260, special_tokens={"pad": "[PAD]"})
    )
    with pytest.raises(ProlepsisError, match="lacks: cls, sep"):
        type(objective)(objective.config, trainer.train([["some text"]]))


def test_the_model_shares_token_embeddings_and_nothing_is_stored_twice(
    objective: SequenceToSequenceObjective, room_for_sentinels: BertConfig
) -> None:
    model = build(objective, room_for_sentinels)
    state = model.state_dict()
    assert len({tensor.data_ptr() for tensor in state.values()}) == len(state)
    embeddings = [
        name for name, of in state.items() if of.shape[0] == room_for_sentinels.vocab_size and of.ndim > 1
    ]
    assert embeddings == ["encoder.embeddings.tokens.weight"]


def test_it_gives_the_logits_of_transformers_bart(tokenizer: Tokenizer) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    theirs = transformers.BartForConditionalGeneration(
        transformers.BartConfig(
            vocab_size=90, d_model=24, encoder_layers=2, decoder_layers=3, encoder_attention_heads=3,
            decoder_attention_heads=3, encoder_ffn_dim=40, decoder_ffn_dim=40, max_position_embeddings=32,
            init_std=0.3, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=2,
        )
    ).eval()  # fmt: skip
    for module in theirs.modules():
        if isinstance(module, torch.nn.LayerNorm):
            torch.nn.init.normal_(module.weight, mean=1.0, std=0.3)
            torch.nn.init.normal_(module.bias)
    ours = EncoderDecoder(
        BertConfig(
            vocab_size=90, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
            max_position_embeddings=32, type_vocab_size=1, layer_norm_eps=1e-5,
        ),
        3,
        with_output_bias=False,
    ).eval()  # fmt: skip
    copy_bart(theirs.state_dict(), ours)
    sources, targets = torch.randint(3, 90, (2, 17)), torch.randint(3, 90, (2, 11))
    real = torch.arange(17) < torch.tensor([[17], [9]])
    batch = SequenceToSequenceBatch(
        token_ids=sources,
        positions=torch.arange(17).expand_as(sources),
        example_numbers=real.long() - 1,
        visible_numbers=real.long() - 1,
        decoder_ids=targets,
        decoder_positions=torch.arange(11).expand_as(targets),
        decoder_numbers=torch.zeros_like(targets),
        masked_positions=torch.arange(22),
        masked_targets=targets.flatten(),
    )
    with torch.no_grad():
        expected = theirs(input_ids=sources, attention_mask=real.long(), decoder_input_ids=targets).logits
        logits = ours.predict(batch)
    assert float(logits.std()) > 0.1
    torch.testing.assert_close(logits.view_as(expected), expected, rtol=1e-5, atol=1e-5)


def copy_bart(theirs: dict[str, Tensor], ours: EncoderDecoder) -> None:
    """Copies the weights of transformers' BART, whose positions count from 2 and which has no token types."""
    names = {
        "attention.output": "self_attn.out_proj",
        "attention_norm": "self_attn_layer_norm",
        "source_attention.attention.output": "encoder_attn.out_proj",
        "source_norm": "encoder_attn_layer_norm",
        "feed_forward.expand": "fc1",
        "feed_forward.contract": "fc2",
        "output_norm": "final_layer_norm",
    }
    joined = {
        "attention.query_key_value": "self_attn",
        "source_attention.attention.query_key_value": "encoder_attn",
    }
    embeddings = {"encoder.embeddings.": "model.encoder.", "decoder.": "model.decoder."}
    weights = {}
    for name, tensor in ours.state_dict().items():
        module, _, kind = name.rpartition(".")
        side, _, inner = module.partition(".layers.")
        if inner:
            number, _, part = inner.partition(".")
            there = f"model.{side}.layers.{number}."
            if part in joined:
                parts = [theirs[f"{there}{joined[part]}.{one}_proj.{kind}"] for one in "qkv"]
                weights[name] = torch.cat(parts)
            else:
                weights[name] = theirs[f"{there}{names[part]}.{kind}"]
        elif name == "encoder.embeddings.tokens.weight":
            weights[name] = theirs["model.shared.weight"]
        elif name == "encoder.embeddings.types.weight":
            weights[name] = torch.zeros_like(tensor)
        else:
            prefix = next(prefix for prefix in embeddings if name.startswith(prefix))
            there = embeddings[prefix]
            positions = theirs[f"{there}embed_positions.weight"][2:]
            norm = theirs[f"{there}layernorm_embedding.{kind}"]
            weights[name] = positions if ".positions" in name else norm
    ours.load_state_dict(weights)


def alone_in_a_row(pair: Any) -> SequenceToSequenceBatch:
    """A batch of one row that holds nothing but this example."""

    def row(values: Any) -> Tensor:
        return torch.from_numpy(np.asarray(values))[None]

    length, target_length = len(pair.source_ids), len(pair.target_ids)
    return SequenceToSequenceBatch(
        token_ids=row(pair.source_ids),
        positions=row(np.arange(length)),
        example_numbers=row(np.zeros(length, np.int64)),
        visible_numbers=row(np.where(pair.is_visible, 0, -2)),
        decoder_ids=row(pair.decoder_ids),
        decoder_positions=row(pair.decoder_positions),
        decoder_numbers=row(np.zeros(target_length, np.int64)),
        masked_positions=torch.arange(target_length),
        masked_targets=torch.from_numpy(pair.target_ids),
    )
