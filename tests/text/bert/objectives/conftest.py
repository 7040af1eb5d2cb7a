from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.packed import PackedPlan

Train = Callable[..., tuple[dict[str, float], dict[str, float]]]


@pytest.fixture
def train() -> Train:
    """`train(objective, config, plan, num_steps)`: every loss on the rows trained on, before and after."""

    def run(
        objective: Any, config: BertConfig, plan: PackedPlan, num_steps: int
    ) -> tuple[dict[str, float], dict[str, float]]:
        torch.manual_seed(0)
        model = objective.build_model(config, np.ones(config.vocab_size, np.int64))
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        rows = np.arange(min(16, len(plan)))

        def losses() -> dict[str, float]:
            model.eval()
            with torch.no_grad():
                measures = objective.measure(model, plan.batch(rows))
            return {name: float(measure.mean) for name, measure in measures.losses.items()}

        before = losses()
        model.train()
        for _ in range(num_steps):
            optimizer.zero_grad()
            objective.measure(model, plan.batch(rows)).loss.backward()
            optimizer.step()
        return before, losses()

    return run
