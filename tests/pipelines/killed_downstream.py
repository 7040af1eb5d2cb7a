"""`killed_downstream.py PROJECT STEP`: runs the pipeline `downstream`, and kills its own process in a step.

Steps are counted through all fine-tunings; -1 lets the run end, and the number of steps that were done is
written. A program of its own, since only a process that really dies shows what is left.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from prolepsis.text.downstream.fine_tuning import FineTuningTask


def main(project: Path, kill_at: int) -> None:
    steps_left = [kill_at]
    loss = FineTuningTask.loss

    def loss_or_death(self: FineTuningTask, *arguments: Any) -> Any:
        if steps_left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        steps_left[0] -= 1
        return loss(self, *arguments)

    FineTuningTask.loss = loss_or_death
    torch.set_num_threads(1)
    bootstrap_project(project)
    with KedroSession.create(project, env="test") as session:
        session.run(pipeline_names=["downstream"])
    sys.stdout.write(f"{kill_at - steps_left[0]}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
