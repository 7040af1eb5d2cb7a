import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn.attention.flex_attention import BlockMask

from prolepsis.errors import ProlepsisError
from prolepsis.text.bert import attention
from prolepsis.text.bert.config import BertConfig, LengthWarmup
from prolepsis.text.bert.objectives import electra
from prolepsis.text.bert.objectives.albert_sop import AlbertSentenceOrder
from prolepsis.text.bert.objectives.bart import BartObjective
from prolepsis.text.bert.objectives.electra import ElectraObjective
from prolepsis.text.bert.objectives.mass import MassObjective
from prolepsis.text.bert.objectives.mlm_nsp import MaskedLanguageModelNextSentence
from prolepsis.text.bert.objectives.spanbert import SpanBertObjective
from prolepsis.text.bert.objectives.t5 import T5Objective
from prolepsis.text.bert.packed import MaskedBatch
from prolepsis.text.bert.pictures import draw_losses
from prolepsis.text.bert.pretraining import (
    PretrainingResult,
    PretrainingTask,
    StepPart,
    pretrain,
    token_counts,
    unigram_entropy,
)
from prolepsis.text.token_shards import TokenShards
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.tokenizers.wordpiece import WordPieceTrainer
from prolepsis.training.checkpoint import clear_checkpoints
from prolepsis.training.config import OptimizerConfig, ScheduleConfig, TrainingConfig

LENGTH, ROWS = 40, 4
CPU = torch.device("cpu")

WriteShards = Callable[..., TokenShards]
RandomDocuments = Callable[[int, int], Any]


@pytest.fixture
def objective(tokenizer: Tokenizer) -> MaskedLanguageModelNextSentence:
    config = MaskedLanguageModelNextSentence.Config(max_length=LENGTH)
    return MaskedLanguageModelNextSentence(config, tokenizer)


@pytest.fixture
def shards(write_shards: WriteShards, random_documents: RandomDocuments) -> TokenShards:
    return write_shards(train=random_documents(1, 60), val=random_documents(2, 20))


def training(directory: Path, **changes: Any) -> TrainingConfig:
    values: dict[str, Any] = {
        "epochs": 2,
        "batch_size": ROWS,
        "optimizer": OptimizerConfig(name="bert_adamw", learning_rate=5e-3, eps=1e-6),
        "gradient_clip_norm": 1.0,
        "seed": 7,
        "device": "cpu",
        "checkpoint_directory": directory / "checkpoints",
        "monitor": "validation_loss",
        "monitor_mode": "min",
    }
    return TrainingConfig(**{**values, **changes})


def task_of(
    objective: MaskedLanguageModelNextSentence,
    shards: TokenShards,
    config: BertConfig,
    directory: Path,
    steps: int | None = None,
    **changes: Any,
) -> PretrainingTask:
    return PretrainingTask(
        objective,
        objective.build_model(config, token_counts(shards.split("train"), config.vocab_size)),
        shards,
        training(directory, **changes),
        steps_per_epoch=steps,
        validation_rows=6,
    )


def contents(batch: Any) -> list[Any]:
    batch = batch.batch if isinstance(batch, StepPart) else batch
    assert isinstance(batch, MaskedBatch)
    return [tensor.tolist() for tensor in vars(batch).values()]


def test_it_learns_from_what_surrounds_a_hidden_token(
    tmp_path: Path,
    write_shards: WriteShards,
    random_documents: RandomDocuments,
    tokenizer: Tokenizer,
    objective: MaskedLanguageModelNextSentence,
    small_config: BertConfig,
) -> None:
    shards = write_shards(train=random_documents(1, 300), val=random_documents(2, 40))
    config = small_config.model_copy(
        update={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "initializer_range": 0.02,
        }
    )
    settings = training(
        tmp_path,
        epochs=3,
        batch_size=8,
        optimizer=OptimizerConfig(name="adamw", learning_rate=4e-3),
        schedule=ScheduleConfig(name="linear", warmup_steps=20),
    )
    result = pretrain(tokenizer, shards, objective, config, settings, steps_per_epoch=120)
    metrics = result.metrics
    # To know the document's quarter of the vocabulary is worth log 4 = 1.39 nats.
    assert metrics["validation_masked_loss"] < metrics["unigram_entropy"] - 0.5
    assert metrics["real_token_share"] > 0.9
    assert metrics["real_tokens_per_second"] > 0
    assert [row["step"] for row in result.curves] == [120, 240, 360]
    assert {"train_masked_loss", "validation_masked_loss", "unigram_entropy"} <= result.curves[0].keys()
    assert result.model.metadata["metrics"] == metrics
    assert result.model.tokenizer is tokenizer


def test_the_same_seed_gives_the_same_model_and_another_seed_another(
    tmp_path: Path,
    shards: TokenShards,
    tokenizer: Tokenizer,
    objective: MaskedLanguageModelNextSentence,
    small_config: BertConfig,
) -> None:
    def run(seed: int) -> PretrainingResult:
        settings = training(tmp_path, seed=seed)
        result = pretrain(tokenizer, shards, objective, small_config, settings, steps_per_epoch=3)
        clear_checkpoints(settings.checkpoint_directory)
        return result

    first, again, other = run(1), run(1), run(2)
    assert first.curves == again.curves
    assert first.curves != other.curves
    for name, tensor in first.model.weights.items():
        assert torch.equal(tensor, again.model.weights[name]), name


def test_batches_go_through_all_rows_before_any_comes_again(
    tmp_path: Path, shards: TokenShards, objective: MaskedLanguageModelNextSentence, small_config: BertConfig
) -> None:
    task = task_of(objective, shards, small_config, tmp_path, steps=1)
    plans = [objective.plan(shards.split("train"), 7, pass_index) for pass_index in (0, 1)]
    expected = [
        contents(plan.batch(np.arange(first, first + ROWS)))
        for plan in plans
        for first in range(0, len(plan) - ROWS + 1, ROWS)
    ]
    batches = [contents(batch) for epoch in range(len(expected)) for batch in task.batches(epoch, 0)]
    assert batches == expected


def test_batches_after_a_step_are_those_of_a_run_never_interrupted(
    tmp_path: Path, shards: TokenShards, objective: MaskedLanguageModelNextSentence, small_config: BertConfig
) -> None:
    # An epoch is longer than a pass, and the continuation starts behind the border.
    task = task_of(objective, shards, small_config, tmp_path, steps=20, accumulation_steps=2)
    assert len(objective.plan(shards.split("train"), 7, 0)) < 20 * 2 * ROWS
    whole = [contents(batch) for batch in task.batches(1, 0)]
    assert len(whole) == 40
    fresh = task_of(objective, shards, small_config, tmp_path, steps=20, accumulation_steps=2)
    assert [contents(batch) for batch in fresh.batches(1, 13)] == whole[26:]


def test_an_epoch_is_a_pass_unless_its_steps_are_given(
    tmp_path: Path, shards: TokenShards, objective: MaskedLanguageModelNextSentence, small_config: BertConfig
) -> None:
    rows = len(objective.plan(shards.split("train"), 7, 0))
    task = task_of(objective, shards, small_config, tmp_path, accumulation_steps=2)
    assert task.steps_per_epoch() == rows // ROWS // 2
    assert task_of(objective, shards, small_config, tmp_path, steps=5).steps_per_epoch() == 5


def test_validation_is_the_same_every_time_and_whatever_the_batch_size(
    tmp_path: Path, shards: TokenShards, objective: MaskedLanguageModelNextSentence, small_config: BertConfig
) -> None:
    torch.manual_seed(0)
    task = task_of(objective, shards, small_config, tmp_path)
    task.model.eval()
    with torch.no_grad():
        first = task.validate(CPU)
        assert task.validate(CPU) == first
        other = task_of(objective, shards, small_config, tmp_path, batch_size=1, seed=8)
        other.model = task.model
        assert other.validate(CPU) == pytest.approx(first, rel=1e-5)
    assert first["validation_loss"] == pytest.approx(
        first["validation_masked_loss"] + first["validation_next_sentence_loss"]
    )


def test_a_tokenizer_that_did_not_make_the_shards_is_refused(
    tmp_path: Path, shards: TokenShards, objective: MaskedLanguageModelNextSentence, small_config: BertConfig
) -> None:
    other = WordPieceTrainer(WordPieceTrainer.Config(vocabulary_size=80)).train([["other words"]])
    with pytest.raises(ProlepsisError, match=f"not by {other.hash}"):
        pretrain(other, shards, objective, small_config, training(tmp_path))


def test_a_vocabulary_larger_than_the_models_is_refused(
    tmp_path: Path,
    shards: TokenShards,
    tokenizer: Tokenizer,
    objective: MaskedLanguageModelNextSentence,
    small_config: BertConfig,
) -> None:
    config = small_config.model_copy(update={"vocab_size": tokenizer.vocabulary_size - 1})
    with pytest.raises(ProlepsisError, match="the model embeds only"):
        pretrain(tokenizer, shards, objective, config, training(tmp_path))


@pytest.mark.parametrize("validation", [None, [[]]])
def test_an_empty_validation_split_is_refused(
    tmp_path: Path,
    write_shards: WriteShards,
    random_documents: RandomDocuments,
    tokenizer: Tokenizer,
    objective: MaskedLanguageModelNextSentence,
    small_config: BertConfig,
    validation: Any,
) -> None:
    splits = {"train": random_documents(1, 60)} | ({"val": validation} if validation else {})
    with pytest.raises(ProlepsisError, match="split 'val'") as caught:
        pretrain(tokenizer, write_shards(**splits), objective, small_config, training(tmp_path))
    assert caught.value.remedy is not None
    assert not (tmp_path / "checkpoints").exists()


def test_a_corpus_smaller_than_a_batch_is_refused(
    tmp_path: Path,
    write_shards: WriteShards,
    random_documents: RandomDocuments,
    tokenizer: Tokenizer,
    objective: MaskedLanguageModelNextSentence,
    small_config: BertConfig,
) -> None:
    shards = write_shards(train=random_documents(1, 2), val=random_documents(2, 2))
    with pytest.raises(ProlepsisError, match="fewer than a batch of 4000"):
        pretrain(tokenizer, shards, objective, small_config, training(tmp_path, batch_size=4000))


def test_the_unigram_entropy_is_that_of_all_tokens(shards: TokenShards, tokenizer: Tokenizer) -> None:
    split = shards.split("train")
    assert len(split.shards) > 1
    tokens = list(itertools.chain(*(split.document(i).tolist() for i in range(split.num_documents))))
    counts = token_counts(split, tokenizer.vocabulary_size)
    assert counts.tolist() == np.bincount(tokens, minlength=tokenizer.vocabulary_size).tolist()
    assert unigram_entropy(counts) == pytest.approx(stats.entropy(counts), rel=1e-12)


def test_splitting_batches_changes_neither_rows_nor_order(
    tmp_path: Path, shards: TokenShards, objective: MaskedLanguageModelNextSentence, small_config: BertConfig
) -> None:
    task = task_of(objective, shards, small_config, tmp_path, steps=5)
    whole = [part.batch.token_ids for part in task.batches(0, 1)]
    parts = [part.batch.token_ids for part in task.batches(0, 1, splits=2)]
    assert [len(part) for part in parts] == [ROWS // 2] * len(parts)
    assert torch.equal(torch.cat(parts), torch.cat(whole))


@pytest.mark.parametrize(
    "plugin",
    [
        MaskedLanguageModelNextSentence,
        AlbertSentenceOrder,
        SpanBertObjective,
        ElectraObjective,
        MassObjective,
    ],
)
def test_the_gradient_of_a_step_is_that_of_all_its_targets_in_whatever_pieces_they_come(
    plugin: Any,
    tmp_path: Path,
    shards: TokenShards,
    tokenizer: Tokenizer,
    small_config: BertConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What ELECTRA's generator draws would depend on the pieces.
    monkeypatch.setattr(electra, "sample_tokens", lambda logits, random: logits.argmax(dim=-1))
    config = small_config.model_copy(
        update={
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "initializer_range": 0.1,
            "hidden_size": 32,
            "num_attention_heads": 4,
        }
    )
    objective = plugin(plugin.Config(max_length=LENGTH), tokenizer)

    def step(splits: int = 1, **changes: Any) -> tuple[float, torch.Tensor]:
        torch.manual_seed(0)
        task = task_of(objective, shards, config, tmp_path, steps=2, **changes)
        count = splits * changes.get("accumulation_steps", 1)
        parts = list(task.batches(0, 0, splits))
        assert len(parts) == 2 * count
        losses = [task.loss(part, CPU)[0] / count for part in parts[:count]]
        torch.stack(losses).sum().backward()
        if count == 1:
            torch.testing.assert_close(losses[0], objective.measure(task.model, parts[0].batch).loss)
        else:
            numbers = {tuple(objective.num_targets(part.batch).values()) for part in parts[:count]}
            assert len(numbers) > 1
        gradients = [one.grad.flatten() for one in task.model.parameters() if one.grad is not None]
        return float(sum(losses).detach()), torch.cat(gradients)

    loss, gradient = step(batch_size=8)
    for pieces in ({"batch_size": 8, "splits": 4}, {"batch_size": 4, "accumulation_steps": 2}):
        other_loss, other_gradient = step(**pieces)
        assert other_loss == pytest.approx(loss, rel=1e-5)
        torch.testing.assert_close(
            other_gradient, gradient, rtol=1e-4, atol=1e-5 * float(gradient.abs().max())
        )


def test_a_batch_warmup_takes_the_rows_one_after_the_other(
    tmp_path: Path, shards: TokenShards, objective: MaskedLanguageModelNextSentence, small_config: BertConfig
) -> None:
    task = task_of(
        objective, shards, small_config, tmp_path, steps=4, accumulation_steps=3, batch_warmup_steps=4
    )
    plain = task_of(objective, shards, small_config, tmp_path, steps=100)
    batches = [part.batch.token_ids for epoch in (0, 1) for part in task.batches(epoch, 0)]
    expected = [part.batch.token_ids for part, _ in zip(plain.batches(0, 0), batches, strict=False)]
    assert 8 < len(batches) < 24
    assert torch.equal(torch.cat(batches), torch.cat(expected))
    # Continued in the middle, the rest is the same.
    behind = [part.batch.token_ids for part in task.batches(1, 2)]
    assert torch.equal(torch.cat(behind), torch.cat(batches[-len(behind) :]))


def test_a_length_warmup_has_shorter_rows_at_first_and_as_many_tokens(
    tmp_path: Path, shards: TokenShards, objective: MaskedLanguageModelNextSentence, small_config: BertConfig
) -> None:
    warmup = LengthWarmup(max_length=LENGTH // 2, share=0.75)
    task = PretrainingTask(
        objective,
        objective.build_model(small_config, np.ones(5, np.int64)),
        shards,
        training(tmp_path, epochs=2),
        steps_per_epoch=4,
        validation_rows=6,
        length_warmup=warmup,
    )
    shapes = [tuple(part.batch.token_ids.shape) for epoch in (0, 1) for part in task.batches(epoch, 0)]
    assert shapes == [(2 * ROWS, LENGTH // 2)] * 6 + [(ROWS, LENGTH)] * 2
    whole = [contents(batch) for batch in task.batches(1, 0)]
    assert [contents(batch) for batch in task.batches(1, 1)] == whole[1:]
    assert [contents(batch) for batch in task.batches(1, 3)] == whole[3:]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_length": LENGTH}, "does not begin with shorter rows"),
        ({"batch_size": ROWS + 1}, "no multiple of the 4"),
    ],
)
def test_a_length_warmup_that_does_not_fit_is_refused(
    tmp_path: Path,
    shards: TokenShards,
    tokenizer: Tokenizer,
    objective: MaskedLanguageModelNextSentence,
    small_config: BertConfig,
    changes: dict[str, Any],
    message: str,
) -> None:
    warmup = LengthWarmup(**{"max_length": LENGTH // 2, "share": 0.5, **changes})
    with pytest.raises(ProlepsisError, match=message):
        pretrain(tokenizer, shards, objective, small_config, training(tmp_path), length_warmup=warmup)


@pytest.mark.parametrize("learning_rate", [1e-9, 4e-3])
def test_a_run_that_does_not_learn_from_context_says_so_after_a_tenth_of_its_steps(
    tmp_path: Path,
    write_shards: WriteShards,
    random_documents: RandomDocuments,
    tokenizer: Tokenizer,
    objective: MaskedLanguageModelNextSentence,
    small_config: BertConfig,
    caplog: pytest.LogCaptureFixture,
    learning_rate: float,
) -> None:
    shards = write_shards(train=random_documents(1, 200), val=random_documents(2, 20))
    config = small_config.model_copy(
        update={"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.1}
    )
    settings = training(
        tmp_path, epochs=1, batch_size=8, optimizer=OptimizerConfig(name="adamw", learning_rate=learning_rate)
    )
    result = pretrain(tokenizer, shards, objective, config, settings, steps_per_epoch=300)
    warned = [record for record in caplog.records if "After 30 steps" in record.getMessage()]
    passed = result.metrics["unigram_entropy_passed_at_step"]
    if learning_rate < 1e-6:
        assert len(warned) == 1
        assert passed is None
    else:
        assert passed is not None
        assert passed < 200


@pytest.mark.parametrize("steps_before", [0, 400])
def test_a_run_past_the_entropy_at_a_tenth_of_its_steps_is_not_warned_of(
    tmp_path: Path,
    write_shards: WriteShards,
    random_documents: RandomDocuments,
    tokenizer: Tokenizer,
    objective: MaskedLanguageModelNextSentence,
    small_config: BertConfig,
    caplog: pytest.LogCaptureFixture,
    steps_before: int,
) -> None:
    shards = write_shards(train=random_documents(1, 300), val=random_documents(2, 20))
    config = small_config.model_copy(
        update={
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "initializer_range": 0.02,
        }
    )
    optimizer = OptimizerConfig(name="adamw", learning_rate=1e-2)
    settings = training(tmp_path, epochs=1, batch_size=8, optimizer=optimizer)
    counts = token_counts(shards.split("train"), config.vocab_size)
    torch.manual_seed(0)
    model = objective.build_model(config, counts)
    if steps_before:
        trained = pretrain(tokenizer, shards, objective, config, settings, steps_per_epoch=steps_before)
        caplog.clear()
        model.load_state_dict(trained.model.weights, strict=False)
    task = PretrainingTask(
        objective,
        model,
        shards,
        settings,
        steps_per_epoch=300,
        validation_rows=6,
        entropy=unigram_entropy(counts),
    )
    for part in itertools.islice(task.batches(0, 0), 40):
        task.loss(part, CPU)
    warned = [record for record in caplog.records if "After 30 steps" in record.getMessage()]
    assert len(warned) == (0 if steps_before else 1)


@pytest.mark.parametrize("dropout", [0.0, 0.1], ids=["flex attention", "dropout"])
def test_a_gpu_pretrains_and_counts_what_it_does(
    gpu: torch.device,
    tmp_path: Path,
    shards: TokenShards,
    tokenizer: Tokenizer,
    objective: MaskedLanguageModelNextSentence,
    small_config: BertConfig,
    dropout: float,
) -> None:
    # FlexAttention's kernels want heads of 16 numbers at least.
    config = small_config.model_copy(
        update={"hidden_size": 32, "initializer_range": 0.1, "attention_probs_dropout_prob": dropout}
    )
    result = pretrain(
        tokenizer, shards, objective, config, training(tmp_path, device=str(gpu)), steps_per_epoch=20
    )
    losses = [row["validation_loss"] for row in result.curves]
    assert len(losses) == 2
    assert losses[1] < losses[0]
    assert 0 < (result.metrics["model_flop_utilisation"] or 0) < 1
    assert (result.metrics["real_tokens_per_second"] or 0) > 0


@pytest.mark.parametrize("plugin", [MassObjective, BartObjective, T5Objective])
def test_a_decoder_that_reads_the_text_claims_nothing_of_the_unigram_entropy(
    plugin: Any,
    tmp_path: Path,
    shards: TokenShards,
    tokenizer: Tokenizer,
    small_config: BertConfig,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    config = small_config.model_copy(update={"vocab_size": tokenizer.vocabulary_size + 10})
    config = config.model_copy(update={"max_position_embeddings": 2 * LENGTH})
    objective = plugin(plugin.Config(max_length=LENGTH), tokenizer)
    settings = training(tmp_path, epochs=1, optimizer=OptimizerConfig(name="adamw", learning_rate=1e-9))
    result = pretrain(tokenizer, shards, objective, config, settings, steps_per_epoch=10)
    assert result.metrics["unigram_entropy"] is None
    assert result.metrics["unigram_entropy_passed_at_step"] is None
    assert "unigram_entropy" not in result.curves[0]
    # So high a loss would earn another objective a warning.
    assert result.metrics["validation_masked_loss"] > np.log(tokenizer.vocabulary_size)
    assert "frequencies" not in caplog.text
    assert [line.get_label() for line in draw_losses(result.curves).axes[0].lines] == [
        "training, mean of the epoch",
        "validation",
    ]


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_the_work_of_a_step_is_that_of_its_products(
    tmp_path: Path,
    shards: TokenShards,
    objective: MaskedLanguageModelNextSentence,
    small_config: BertConfig,
    dropout: float,
) -> None:
    small_config = small_config.model_copy(update={"attention_probs_dropout_prob": dropout})
    task = task_of(objective, shards, small_config, tmp_path)
    batch: Any = next(task.batches(0, 0)).batch
    before = torch.get_rng_state()
    width, inner = small_config.hidden_size, small_config.intermediate_size
    tokens = ROWS * LENGTH
    masked, examples = len(batch.masked_targets), len(batch.labels)
    per_layer = tokens * (4 * width**2 + 2 * width * inner) + 2 * tokens * LENGTH * width
    heads = masked * (width**2 + width * small_config.vocab_size) + examples * (width**2 + 2 * width)
    expected = 2 * 3 * (small_config.num_hidden_layers * per_layer + heads)
    assert task.work(batch, CPU) == pytest.approx(expected, rel=1e-9)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
def test_a_step_with_flex_attention_has_its_products_counted(
    tmp_path: Path,
    shards: TokenShards,
    objective: MaskedLanguageModelNextSentence,
    small_config: BertConfig,
    monkeypatch: pytest.MonkeyPatch,
    compiled: bool,
) -> None:
    config = small_config.model_copy(update={"attention_probs_dropout_prob": 0.0})
    task = task_of(objective, shards, config, tmp_path)
    part: Any = next(task.batches(0, 0))
    expected_work = task.work(part.batch, CPU)
    task.model.eval()
    expected = objective.measure(task.model, part.batch).over(part.num_targets).loss
    task.model.train()
    monkeypatch.setattr(attention, "_runs_flex_attention_fast", lambda device: True)
    if compiled:
        compile_for_test(monkeypatch, task)
    assert isinstance(task.model.encoder.mask(part.batch.example_numbers), BlockMask)
    assert task.work(part.batch, CPU) == expected_work
    task.model.eval()
    with torch.no_grad():  # on a CPU FlexAttention has no backward
        loss, _ = task.loss(part, CPU)
    torch.testing.assert_close(loss, expected)


def compile_for_test(monkeypatch: pytest.MonkeyPatch, task: PretrainingTask) -> None:
    """Makes the graphs as always; a backend that compiles them would need a compiler for C++."""
    compiling = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda self, **options: compiling(self, backend="eager", **options)
    )
    task.compile()


def test_compiling_changes_neither_names_nor_results(
    tmp_path: Path,
    shards: TokenShards,
    objective: MaskedLanguageModelNextSentence,
    small_config: BertConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = task_of(objective, shards, small_config, tmp_path)
    task.model.eval()
    names, part = list(task.model.state_dict()), next(task.batches(0, 0))
    expected, _ = task.loss(part, CPU)
    compile_for_test(monkeypatch, task)
    assert list(task.model.state_dict()) == names
    assert task.model.encoder._compiled_call_impl is not None
    torch.testing.assert_close(task.loss(part, CPU)[0], expected)


def test_passes_that_lie_behind_are_not_planned_again(
    tmp_path: Path,
    shards: TokenShards,
    objective: MaskedLanguageModelNextSentence,
    small_config: BertConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planned = []
    plan = MaskedLanguageModelNextSentence.plan

    def noted(self: MaskedLanguageModelNextSentence, split: Any, seed: int, pass_index: int) -> Any:
        planned.append((split.name, pass_index))
        return plan(self, split, seed, pass_index)

    monkeypatch.setattr(MaskedLanguageModelNextSentence, "plan", noted)
    task = task_of(objective, shards, small_config, tmp_path, steps=40)
    for epoch in range(3):
        list(task.batches(epoch, 0))
    train = [pass_index for split, pass_index in planned if split == "train"]
    assert train[-1] > 2
    assert len(train) == len(set(train))
