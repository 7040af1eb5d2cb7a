"""Fine-tuning learns each kind of task, repeats itself, and does not depend on how a batch is cut."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prolepsis.errors import ProlepsisError
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.heads import BertForPretraining
from prolepsis.text.bert.hugging_face import PretrainedBert
from prolepsis.text.downstream.config import FineTuningConfig, FineTuningTraining
from prolepsis.text.downstream.fine_tuning import FineTuned, FineTuningTask, evaluate_encoder, fine_tune
from prolepsis.text.downstream.heads import build_head
from prolepsis.text.downstream.metrics import MAIN_METRIC, measure
from prolepsis.text.downstream.model import FineTunedModel
from prolepsis.text.downstream.tasks import DownstreamTask
from prolepsis.training.config import OptimizerConfig

from .conftest import classes, pairs, questions, tags

CONFIG = FineTuningConfig(max_length=40, max_question_tokens=10)


def training(folder: Path, *, epochs: int = 2, rate: float = 5e-3, **more: object) -> FineTuningTraining:
    return FineTuningTraining(
        epochs=epochs,
        batch_size=16,
        device="cpu",
        optimizer=OptimizerConfig(name="adamw", learning_rate=rate),
        checkpoint_directory=folder,
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("make", "epochs", "least"), [(classes, 6, 0.9), (tags, 6, 0.95), (pairs, 40, 0.7), (questions, 10, 0.9)]
)
def test_each_kind_of_task_is_learnt(
    make: Callable[[], DownstreamTask], epochs: int, least: float, pretrained: PretrainedBert, tmp_path: Path
) -> None:
    task = make()
    tuned = fine_tune(pretrained, task, CONFIG, training(tmp_path, epochs=epochs))
    truth = [example.labels for example in task.splits["test"]]
    figures = measure(task.kind, truth, tuned.predictions["test"])
    assert figures[MAIN_METRIC[task.kind]] >= least
    best = max(row["validation_score"] for row in tuned.curves)
    assert tuned.best_metrics["validation_score"] == best
    assert tuned.curves[tuned.best_epoch - 1]["validation_score"] == best


@pytest.mark.parametrize("make", [classes, pairs, tags, questions])
def test_a_saved_model_says_the_same_when_it_is_loaded(
    make: Callable[[], DownstreamTask], pretrained: PretrainedBert, tmp_path: Path
) -> None:
    task = make()
    tuned = fine_tune(pretrained, task, CONFIG, training(tmp_path / "checkpoints"))
    tuned.model.save(tmp_path / "model")
    loaded = FineTunedModel.load(tmp_path / "model")
    examples = task.splits["test"]
    assert loaded.predict_examples(examples, device="cpu", batch_size=5) == tuned.predictions["test"]
    inputs = {
        "sequence_classification": [one.text for one in examples],
        "sequence_pair_classification": [(one.text, one.second_text) for one in examples],
        "token_tagging": [list(one.words) for one in examples],
        "question_answering": [(one.text, one.second_text) for one in examples],
    }[task.kind]
    said = loaded.predict(inputs, device="cpu")
    flat = [tuple(one) if isinstance(one, list) else (one,) for one in said]
    assert flat == tuned.predictions["test"]


def test_the_same_seed_gives_the_same_and_another_something_else(
    pretrained: PretrainedBert, tmp_path: Path
) -> None:
    def weights(seed: int, folder: str) -> torch.Tensor:
        tuned = fine_tune(pretrained, classes(), CONFIG, training(tmp_path / folder, seed=seed))
        return torch.cat([one.flatten() for one in tuned.model.module.state_dict().values()])

    first = weights(0, "a")
    assert torch.equal(weights(0, "b"), first)
    assert not torch.equal(weights(1, "c"), first)


def test_the_test_split_chooses_nothing(pretrained: PretrainedBert, tmp_path: Path) -> None:
    task = classes()
    others = [replace(one, labels=("no",)) for one in task.splits["test"]]
    relabelled = replace(task, splits={**task.splits, "test": others})
    first = fine_tune(pretrained, task, CONFIG, training(tmp_path / "a"))
    second = fine_tune(pretrained, relabelled, CONFIG, training(tmp_path / "b"))
    assert second.predictions == first.predictions
    assert second.best_epoch == first.best_epoch


def test_the_pretrained_encoder_itself_is_left_as_it_is(pretrained: PretrainedBert, tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in pretrained.encoder.state_dict().items()}
    fine_tune(pretrained, classes(), CONFIG, training(tmp_path))
    assert all(torch.equal(tensor, before[name]) for name, tensor in pretrained.encoder.state_dict().items())


def test_a_twin_from_scratch_has_the_shape_and_none_of_the_weights(
    pretrained: PretrainedBert, tmp_path: Path
) -> None:
    def first_weights(*, from_scratch: bool, folder: str) -> torch.Tensor:
        # At so small a rate the weights stay what they were at the start.
        slow = training(tmp_path / folder, epochs=1, rate=1e-12)
        tuned = fine_tune(pretrained, classes(), CONFIG, slow, from_scratch=from_scratch)
        return torch.cat([one.flatten() for one in tuned.model.module.encoder.state_dict().values()])  # type: ignore[union-attr, operator]

    own = torch.cat([one.flatten() for one in pretrained.encoder.state_dict().values()])
    torch.testing.assert_close(first_weights(from_scratch=False, folder="a"), own)
    drawn = first_weights(from_scratch=True, folder="b")
    assert drawn.shape == own.shape
    assert not torch.allclose(drawn, own, atol=1e-3)
    assert float(drawn.std()) == pytest.approx(float(own.std()), rel=0.1)


@pytest.mark.parametrize("make", [classes, tags, questions])
@pytest.mark.parametrize("splits", [2, 4, 3])
def test_the_gradient_of_a_batch_does_not_depend_on_how_it_is_cut(
    make: Callable[[], DownstreamTask], splits: int, pretrained: PretrainedBert, tmp_path: Path
) -> None:
    task = make()
    config = CONFIG.model_copy(update={"head_dropout": 0.0})
    head = build_head(task.kind, pretrained.tokenizer, config, task.labels)
    module = head.build_model(pretrained.encoder).train(False)
    pad = pretrained.tokenizer.special_ids["pad"]
    loop_task = FineTuningTask(module, head, task, pad, training(tmp_path), None)

    def gradient(splits: int) -> torch.Tensor:
        module.zero_grad()
        parts = list(loop_task.batches(0, 2, splits))[:splits]
        for part in parts:
            (loop_task.loss(part, torch.device("cpu"))[0] / splits).backward()
        return torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])

    torch.testing.assert_close(gradient(splits), gradient(1), rtol=1e-4, atol=1e-7)


def test_every_target_of_an_accumulated_step_weighs_the_same(
    pretrained: PretrainedBert, tmp_path: Path
) -> None:
    task = tags()
    config = CONFIG.model_copy(update={"head_dropout": 0.0})
    head = build_head(task.kind, pretrained.tokenizer, config, task.labels)
    module = head.build_model(pretrained.encoder).train(False)
    accumulating = training(tmp_path, accumulation_steps=2)
    loop_task = FineTuningTask(module, head, task, 0, accumulating, None)
    parts = list(loop_task.batches(0, 0))[:2]
    counts = [len(part.targets) for part in parts]
    assert counts[0] != counts[1]
    loss = sum(loop_task.loss(part, torch.device("cpu"))[0] for part in parts) / 2
    totals = sum(head.loss(module(part), part) for part in parts)
    torch.testing.assert_close(loss, totals / sum(counts))


def test_batches_from_a_later_step_are_the_ones_that_would_have_come(
    pretrained: PretrainedBert, tmp_path: Path
) -> None:
    task = classes()
    head = build_head(task.kind, pretrained.tokenizer, CONFIG, task.labels)
    module = head.build_model(pretrained.encoder)
    accumulating = training(tmp_path, accumulation_steps=2)
    loop_task = FineTuningTask(module, head, task, 0, accumulating, None)
    assert loop_task.steps_per_epoch() == 3  # 96 rows, 2 x 16 in a step
    whole = [batch.token_ids for batch in loop_task.batches(1, 0)]
    later = [batch.token_ids for batch in loop_task.batches(1, 2)]
    assert len(whole) == 6
    assert all(torch.equal(a, b) for a, b in zip(whole[4:], later, strict=True))


def test_a_limit_of_steps_is_kept(pretrained: PretrainedBert, tmp_path: Path) -> None:
    limited = CONFIG.model_copy(update={"max_steps": 7})
    tuned = fine_tune(pretrained, classes(), limited, training(tmp_path, epochs=3))
    assert tuned.steps == 6  # three epochs of two


def test_evaluate_encoder_scores_each_seed_and_leaves_nothing_behind(
    pretrained: PretrainedBert, tmp_path: Path
) -> None:
    scores = evaluate_encoder(
        pretrained, classes(), [3, 4], training(tmp_path / "checkpoints"), config=CONFIG, method="small"
    )
    assert scores.columns == ["task", "method", "seed", "split", "metric", "value"]
    assert sorted(set(scores.select("method", "seed", "split").rows())) == [
        ("small", seed, split) for seed in (3, 4) for split in ("test", "validation")
    ]
    assert not list((tmp_path / "checkpoints").rglob("*.safetensors"))


def test_it_computes_in_half_precision_where_that_is_asked_for(
    pretrained: PretrainedBert, tmp_path: Path
) -> None:
    for make in (classes, tags, questions):
        task = make()
        half = training(tmp_path / task.name, epochs=1, precision="bf16")
        tuned = fine_tune(pretrained, task, CONFIG, half)
        assert len(tuned.predictions["test"]) == len(task.splits["test"])
        assert all(one.dtype == torch.float32 for one in tuned.model.module.state_dict().values())


def test_a_finished_training_is_not_done_again(pretrained: PretrainedBert, tmp_path: Path) -> None:
    first = fine_tune(pretrained, classes(), CONFIG, training(tmp_path))
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    again = fine_tune(pretrained, classes(), CONFIG, training(tmp_path))
    assert again.predictions == first.predictions
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")} == stamps
    # Other examples are another training.
    other = fine_tune(pretrained, classes(seed=1), CONFIG, training(tmp_path))
    assert other.curves != first.curves


def test_an_interrupted_training_ends_as_if_it_had_not_been(
    pretrained: PretrainedBert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tuned(folder: str) -> FineTuned:
        often = training(tmp_path / folder, epochs=3, checkpoint_every_steps=2)
        return fine_tune(pretrained, tags(), CONFIG, often)

    whole = tuned("whole")
    loss, done = FineTuningTask.loss, []

    def loss_until_the_lights_go_out(self: FineTuningTask, *arguments: Any) -> Any:
        if len(done) == 9:
            raise KeyboardInterrupt
        done.append(1)
        return loss(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(FineTuningTask, "loss", loss_until_the_lights_go_out)
        with pytest.raises(KeyboardInterrupt):
            tuned("cut")
    done.clear()
    monkeypatch.setattr(FineTuningTask, "loss", lambda *given: (done.append(1), loss(*given))[1])
    again = tuned("cut")
    assert len(done) == 18 - 8  # of six steps an epoch, from the last checkpoint on
    assert again.curves == whole.curves
    assert again.predictions == whole.predictions
    states = again.model.module.state_dict(), whole.model.module.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])


def test_rows_longer_than_the_encoder_has_positions_are_refused(
    pretrained: PretrainedBert, tmp_path: Path
) -> None:
    with pytest.raises(ProlepsisError, match="do not fit the encoder's 64 positions"):
        fine_tune(pretrained, classes(), FineTuningConfig(max_length=65), training(tmp_path))


def test_pairs_need_two_token_types(pretrained: PretrainedBert, tmp_path: Path) -> None:
    config = BertConfig.model_validate(pretrained.config.model_dump() | {"type_vocab_size": 1})
    single = PretrainedBert.of(BertForPretraining(config), pretrained.tokenizer)
    with pytest.raises(ProlepsisError, match="one token type"):
        fine_tune(single, pairs(), CONFIG, training(tmp_path))
    fine_tune(single, classes(), CONFIG, training(tmp_path, epochs=1))


@pytest.mark.parametrize(
    ("make", "given"),
    [(classes, ("a", "b")), (classes, " "), (pairs, "alone"), (tags, "a sentence"), (questions, ("a", ""))],
)
def test_an_input_of_another_kind_is_refused(
    make: Callable[[], DownstreamTask], given: object, pretrained: PretrainedBert
) -> None:
    task = make()
    head = build_head(task.kind, pretrained.tokenizer, CONFIG, task.labels)
    module = head.build_model(pretrained.encoder)
    model = FineTunedModel(task.kind, task.labels, CONFIG, pretrained.tokenizer, module)
    with pytest.raises(ProlepsisError, match=f"made for {task.kind}"):
        model.predict([given])


def test_a_folder_that_holds_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProlepsisError, match="not a fine-tuned model"):
        FineTunedModel.load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ProlepsisError, match="not a fine-tuned model"):
        FineTunedModel.load(tmp_path)


def test_bert_s_rows_are_what_the_encoder_sees(pretrained: PretrainedBert) -> None:
    """The logits are the linear layer's of the vector of [CLS], computed by hand."""
    task = classes()
    head = build_head(task.kind, pretrained.tokenizer, CONFIG, task.labels)
    module = head.build_model(pretrained.encoder).eval()
    special = pretrained.tokenizer.special_ids
    text = task.splits["test"][0].text
    ids = [special["cls"], *pretrained.tokenizer.encode_batch([text])[0].tolist(), special["sep"]]
    token_ids = torch.tensor([ids])
    with torch.no_grad():
        zeros = torch.zeros_like(token_ids)
        hidden = pretrained.encoder(token_ids, zeros, torch.arange(len(ids))[None], None)
        expected = module.output(hidden[:, 0])  # type: ignore[operator]
    model = FineTunedModel(task.kind, task.labels, CONFIG, pretrained.tokenizer, module)
    label = task.labels[int(np.argmax(expected.numpy()))]
    assert model.predict([text], device="cpu") == [label]
