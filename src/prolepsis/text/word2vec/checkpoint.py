"""The tables after the last whole epoch, from which a killed run goes on.

A file like those of `prolepsis.training.checkpoint`, which clears it, but written from NumPy's arrays:
training on a CPU need not load PyTorch, which takes several times the memory of the tables.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from prolepsis.files import atomic_file

_NAME, _PATTERN = "step-{:010d}.safetensors", "step-*.safetensors"
_logger = logging.getLogger(__name__)

Tables = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class EpochStore:
    """The last epoch of one run, in a directory of its own.

    Attributes:
        fingerprint: of the data and parameters; a file with another one is passed over.
    """

    directory: Path
    fingerprint: str

    def save(self, epoch: int, tables: Tables, curves: list[dict[str, float | None]]) -> None:
        """Writes the tables after so many epochs atomically, then removes those before."""
        inputs, outputs = tables
        path = self.directory / _NAME.format(epoch)
        header = {"fingerprint": self.fingerprint, "step": epoch, "state": {"curves": curves}}
        with atomic_file(path) as temporary:
            save_file(
                # safetensors would write the memory of a view with its gaps.
                {"inputs": np.ascontiguousarray(inputs), "outputs": np.ascontiguousarray(outputs)},
                temporary,
                metadata={"checkpoint": json.dumps(header)},
            )
        for other in self.directory.glob(_PATTERN):
            if other != path:
                other.unlink()

    def latest(self) -> tuple[int, Tables, list[dict[str, float | None]]] | None:
        """What was last saved of this run; what has to be passed over is logged."""
        for path in sorted(self.directory.glob(_PATTERN), reverse=True):
            try:
                with safe_open(path, framework="numpy") as file:
                    header = json.loads((file.metadata() or {})["checkpoint"])
                    if header["fingerprint"] == self.fingerprint:
                        tables = file.get_tensor("inputs"), file.get_tensor("outputs")
                        return header["step"], tables, header["state"]["curves"]
            except (SafetensorError, OSError, ValueError, KeyError) as error:
                _logger.warning("Ignoring the checkpoint %s, which cannot be read: %s", path, error)
                continue
            _logger.warning(
                "Ignoring the checkpoint %s: other data or parameters made it, so training starts anew.",
                path,
            )
        return None
