"""A fine-tuned encoder: to predict with, and as a folder of safetensors and JSON.

>>> model = FineTunedModel.load(Path("data/06_models/downstream/language"))     # doctest: +SKIP
>>> model.predict(["le chat dort", "the cat sleeps"])                           # doctest: +SKIP
['fr', 'en']
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from prolepsis.errors import ProlepsisError
from prolepsis.files import atomic_directory, read_json
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.model import BertEncoder
from prolepsis.text.downstream.config import FineTuningConfig, Kind
from prolepsis.text.downstream.heads import Head, build_head
from prolepsis.text.downstream.heads.base import require_special_tokens
from prolepsis.text.downstream.rows import Row, inference_batches
from prolepsis.text.downstream.tasks import Example
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.training.checkpoint import independent
from prolepsis.training.device import autocast, resolve_device, resolve_precision

_WEIGHTS, _CONFIG, _TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
_BATCH_SIZE = 64


@dataclass(frozen=True)
class FineTunedModel:
    """An encoder with the output of one task, and the tokenizer that it speaks.

    Attributes:
        labels: in the order of the classes; empty for questions.
        module: what `heads` built; its `encoder` is a `BertEncoder`.
        metadata: JSON-like; what made it.
    """

    kind: Kind
    labels: tuple[str, ...]
    config: FineTuningConfig
    tokenizer: Tokenizer
    module: nn.Module
    metadata: dict[str, Any] = field(default_factory=dict)

    def predict(
        self, inputs: Sequence[Any], *, batch_size: int = _BATCH_SIZE, device: str = "auto"
    ) -> list[Any]:
        """What the model says of texts it has not seen.

        Args:
            inputs: texts; for pairs (first, second); for tagging lists of words; for questions (paragraph,
                question).

        Returns:
            A label for each text or pair, a list of labels for each list of words, an answer for each
            question.

        Raises:
            ProlepsisError: an input is not of the kind of the task.
        """
        examples = [self._example(number, given) for number, given in enumerate(inputs)]
        said = self.predict_examples(examples, batch_size=batch_size, device=device)
        return [list(one) if self.kind == "token_tagging" else one[0] for one in said]

    def predict_examples(
        self,
        examples: Sequence[Example],
        *,
        batch_size: int = _BATCH_SIZE,
        device: str = "auto",
        precision: str = "auto",
    ) -> list[tuple[str, ...]]:
        """What is said of each example: one label, a label for each word, or an answer."""
        where = resolve_device(device)
        dtype = resolve_precision(precision, where)
        module = self.module.to(where).eval()
        rows = self.head.rows(examples)
        with torch.no_grad(), autocast(where, dtype):
            outputs = row_outputs(module, self.head, rows, self.pad_id, batch_size, where)[0]
        return self.head.decode(rows, outputs, examples)

    @cached_property
    def head(self) -> Head:
        return build_head(self.kind, self.tokenizer, self.config, self.labels)

    @property
    def pad_id(self) -> int:
        return require_special_tokens(self.tokenizer)[2]

    def files(self) -> Iterator[tuple[str, bytes]]:
        """The names and contents of the folder's files."""
        yield _WEIGHTS, save(independent(self.module.state_dict()))
        encoder: Any = self.module.encoder
        config = {
            "kind": self.kind,
            "labels": list(self.labels),
            "fine_tuning": self.config.model_dump(mode="json"),
            "encoder": encoder.config.model_dump(mode="json"),
            "tokenizer": {
                "plugin": self.tokenizer.plugin,
                "config": dict(self.tokenizer.config),
                "special_tokens": dict(self.tokenizer.special_tokens),
            },
            "made_by": self.metadata,
        }
        yield _CONFIG, (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode()
        yield _TOKENIZER, self.tokenizer.definition.encode()

    def save(self, directory: Path) -> None:
        """Writes the folder, whole or not at all."""
        with atomic_directory(directory) as temporary:
            for name, content in self.files():
                (temporary / name).write_bytes(content)

    @classmethod
    def load(cls, directory: Path) -> "FineTunedModel":
        """Reads a folder that `save` wrote.

        Raises:
            ProlepsisError: it is not such a folder, or not a whole one.
        """
        try:
            stored = read_json(directory / _CONFIG)
            config = FineTuningConfig.model_validate(stored["fine_tuning"])
            origin = stored["tokenizer"]
            definition = (directory / _TOKENIZER).read_text(encoding="utf-8")
            tokenizer = Tokenizer(definition, origin["plugin"], origin["config"], origin["special_tokens"])
            labels = tuple(stored["labels"])
            head = build_head(stored["kind"], tokenizer, config, labels)
            module = head.build_model(BertEncoder(BertConfig.model_validate(stored["encoder"])))
            module.load_state_dict(load_file(directory / _WEIGHTS))
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            RuntimeError,
            SafetensorError,
            ValidationError,
        ) as error:
            raise ProlepsisError(
                f"This is not a fine-tuned model: {error}",
                where=directory,
                remedy="run 'kedro run --pipelines downstream' again",
            ) from error
        return cls(stored["kind"], labels, config, tokenizer, module.eval(), stored["made_by"])

    def _example(self, number: int, given: Any) -> Example:
        source = f"input {number}"
        if (
            self.kind == "token_tagging"
            and not isinstance(given, str)
            and all(isinstance(word, str) and word for word in given)
        ):
            return Example(source, words=tuple(given))
        is_text = isinstance(given, str) and bool(given.strip())
        if self.kind == "sequence_classification" and is_text:
            return Example(source, text=given)
        is_pair = (
            isinstance(given, tuple | list)
            and len(given) == 2
            and all(isinstance(text, str) and text.strip() for text in given)
        )
        if self.kind in ("sequence_pair_classification", "question_answering") and is_pair:
            return Example(source, text=given[0], second_text=given[1])
        raise ProlepsisError(
            f"The model was made for {self.kind}; {given!r} is not an input of that kind.",
            where=source,
            remedy="give texts, pairs of texts, lists of words, or pairs of a paragraph and a question",
        )


def row_outputs(
    module: nn.Module, head: Head, rows: Sequence[Row], pad_id: int, batch_size: int, device: torch.device
) -> tuple[list[NDArray[np.float32]], float]:
    """The logits of each row, and the mean loss over all targets.

    To be called in evaluation mode and without gradients.
    """
    outputs: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(rows)
    total, count = 0.0, 0
    for numbers, batch in inference_batches(rows, batch_size, pad_id):
        on_device = batch.to(device)
        logits = module(on_device)
        total += float(head.loss(logits, on_device))
        count += len(batch.targets)
        for number, one in zip(numbers, head.split(logits.float().cpu(), batch), strict=True):
            outputs[number] = one.numpy()
    return outputs, total / max(1, count)
