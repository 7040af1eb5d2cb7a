"""`killed_bert.py PROJECT STEP`: runs the pipeline `bert`, and kills its own process in that training step.

A step of -1 lets the run end. A program of its own, since only a process that really dies shows what is left.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from prolepsis.text.bert.pretraining import PretrainingTask


def main(project: Path, kill_at: int) -> None:
    steps_left = [kill_at]
    loss = PretrainingTask.loss

    def loss_or_death(self: PretrainingTask, *arguments: Any) -> Any:
        if steps_left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        steps_left[0] -= 1
        return loss(self, *arguments)

    PretrainingTask.loss = loss_or_death
    torch.set_num_threads(1)
    bootstrap_project(project)
    with KedroSession.create(project, env="test") as session:
        session.run(pipeline_names=["bert"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
