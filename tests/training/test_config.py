from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.training.config import OptimizerConfig, TrainingConfig


def config(accumulation_steps: int, batch_warmup_steps: int) -> TrainingConfig:
    return TrainingConfig(
        epochs=1,
        batch_size=1,
        accumulation_steps=accumulation_steps,
        batch_warmup_steps=batch_warmup_steps,
        checkpoint_directory=Path(),
        monitor="loss",
        monitor_mode="min",
    )


@given(most=st.integers(1, 40), warmup=st.integers(0, 60))
def test_a_batch_warm_up_rises_in_a_straight_line_and_stays_at_the_top(most: int, warmup: int) -> None:
    one = config(most, warmup)
    counts = [one.micro_batches(step) for step in range(warmup + 5)]
    assert counts[warmup:] == [most] * 5
    for step, count in enumerate(counts[:warmup]):
        exact = 1 + (most - 1) * step / warmup
        assert exact - 1 < count <= exact
    assert [one.micro_batches_before(step) for step in range(warmup + 5)] == [
        sum(counts[:step]) for step in range(warmup + 5)
    ]


def test_without_a_warm_up_every_step_has_all_micro_batches() -> None:
    assert config(4, 0).micro_batches(0) == 4
    assert config(4, 0).micro_batches_before(1_000_000) == 4_000_000


def test_a_warm_up_of_the_batch_by_hand() -> None:
    assert [config(3, 4).micro_batches(step) for step in range(6)] == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("momentum", [-0.1, 1.0])
def test_a_momentum_that_never_forgets_is_refused(momentum: float) -> None:
    with pytest.raises(ValueError, match="muon_momentum"):
        OptimizerConfig(muon_momentum=momentum)
