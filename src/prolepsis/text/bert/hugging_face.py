"""BERT as a Hugging Face folder, written and read.

`transformers.BertForPreTraining.from_pretrained(folder)` and `AutoTokenizer.from_pretrained(folder)` load
what is written here and give the same numbers; a folder that `transformers` wrote loads here. Weights are
read from safetensors only.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from prolepsis.errors import ProlepsisError
from prolepsis.files import atomic_directory, read_json, write_json
from prolepsis.plugins import describe_validation_error
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.model import BertEncoder, BertForPretraining
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.training.saved_model import SavedModel

if TYPE_CHECKING:
    import polars as pl

_CONFIG = "config.json"
_WEIGHTS = "model.safetensors"
_TOKENIZER = "tokenizer.json"
_TOKENIZER_CONFIG = "tokenizer_config.json"
_METADATA = "prolepsis.json"
_FORMAT = {"format": "pt"}

# What this implementation computes; a folder that says otherwise holds another model.
_FIXED = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "is_decoder": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
    "position_embedding_type": "absolute",
}
# In every folder there are copies of tied weights and buffers that need not be read.
_IGNORED = {
    "cls.predictions.decoder.weight",
    "cls.predictions.decoder.bias",
    "bert.embeddings.position_ids",
    "bert.embeddings.token_type_ids",
}
_OUTER_NAMES = {
    "encoder.token_embeddings": "bert.embeddings.word_embeddings",
    "encoder.position_embeddings": "bert.embeddings.position_embeddings",
    "encoder.token_type_embeddings": "bert.embeddings.token_type_embeddings",
    "encoder.norm": "bert.embeddings.LayerNorm",
    "pooler": "bert.pooler.dense",
    "next_sentence": "cls.seq_relationship",
    "masked_transform": "cls.predictions.transform.dense",
    "masked_norm": "cls.predictions.transform.LayerNorm",
    "masked_bias": "cls.predictions.bias",
}
_LAYER_NAMES = {
    "attention.output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "expand": "intermediate.dense",
    "contract": "output.dense",
    "output_norm": "output.LayerNorm",
}


@dataclass(frozen=True)
class PretrainedBert:
    """A pretrained model, the tokenizer that it speaks, and what made it (JSON-like)."""

    model: BertForPretraining
    tokenizer: Tokenizer
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def encoder(self) -> BertEncoder:
        """What gives a text's vectors."""
        return self.model.encoder

    def save(self, directory: Path) -> None:
        """Writes the folder, whole or not at all."""
        config = self.model.config
        with atomic_directory(directory) as temporary:
            write_json(temporary / _CONFIG, _transformers_config(config, self.tokenizer))
            save_file(to_transformers(self.model.state_dict(), config), temporary / _WEIGHTS, _FORMAT)
            _write_tokenizer(temporary, self.tokenizer, config)
            write_json(
                temporary / _METADATA,
                {
                    "tokenizer": {
                        "plugin": self.tokenizer.plugin,
                        "config": dict(self.tokenizer.config),
                        "special_tokens": dict(self.tokenizer.special_tokens),
                    },
                    "made_by": self.metadata,
                },
            )

    @classmethod
    def load(cls, directory: Path) -> "PretrainedBert":
        """Reads a folder that `save` wrote.

        Raises:
            ProlepsisError: it is not such a folder, or not a whole one.
        """
        model = load_hugging_face(directory)
        try:
            metadata = read_json(directory / _METADATA)
            definition = (directory / _TOKENIZER).read_text(encoding="utf-8")
            origin = metadata["tokenizer"]
            tokenizer = Tokenizer(definition, origin["plugin"], origin["config"], origin["special_tokens"])
            return cls(model, tokenizer, metadata["made_by"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ProlepsisError(
                f"This is not a model that the pipeline 'bert' wrote: {error}",
                where=directory,
                remedy="Run 'kedro run --pipelines bert' again.",
            ) from error

    def profile(self) -> "pl.DataFrame":
        """One row per tensor: `tensor`, `dtype`, `num_elements`, `finite`."""
        return SavedModel(self.model.state_dict()).profile()


def load_hugging_face(directory: Path) -> BertForPretraining:
    """The model in a folder written by `transformers` (BertForPreTraining) or by this project.

    Raises:
        ProlepsisError: a file is missing or broken, or the folder holds a model that is computed otherwise.
    """
    config = _read_config(directory / _CONFIG)
    path = directory / _WEIGHTS
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ProlepsisError(
            f"The weights cannot be read: {error}",
            where=path,
            remedy="Save the model with safetensors (save_pretrained does); pickled weights are never read.",
        ) from error
    # Nothing is allocated or drawn at random for weights that the file brings.
    with torch.device("meta"):
        model = BertForPretraining(config)
    model.load_state_dict(from_transformers(stored, config, path), assign=True)
    return model.eval()


def to_transformers(state: dict[str, Tensor], config: BertConfig) -> dict[str, Tensor]:
    """The tensors of a `BertForPretraining` under the names of transformers' `BertForPreTraining`."""
    renamed: dict[str, Tensor] = {}
    for ours, theirs in _names(config):
        parts = state[ours].detach().cpu().chunk(len(theirs))
        renamed |= {name: part.clone() for name, part in zip(theirs, parts, strict=True)}
    return renamed


def from_transformers(stored: dict[str, Tensor], config: BertConfig, where: Path) -> dict[str, Tensor]:
    """The reverse of `to_transformers`, in float32.

    Raises:
        ProlepsisError: tensors are missing, unknown, or not of the shape that `config` gives them.
    """
    # TensorFlow's names live on in the oldest folders, bert-base-uncased among them.
    stored = {
        name.replace(".gamma", ".weight").replace(".beta", ".bias"): tensor
        for name, tensor in stored.items()
        if name not in _IGNORED
    }
    names = list(_names(config))
    expected = {name for _, theirs in names for name in theirs}
    if expected != stored.keys():
        raise ProlepsisError(
            "The weights are not those of a BertForPreTraining"
            + _listed("; missing: ", expected - stored.keys())
            + _listed("; unknown: ", stored.keys() - expected),
            where=where,
            remedy="Both pretraining heads are needed; export the model as BertForPreTraining.",
        )
    state = {ours: torch.cat([stored[name].float() for name in theirs]) for ours, theirs in names}
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in BertForPretraining(config).state_dict().items()}
    wrong = [f"{name} {tuple(state[name].shape)}" for name in shapes if state[name].shape != shapes[name]]
    if wrong:
        raise ProlepsisError(
            f"The weights do not have the sizes that {_CONFIG} gives" + _listed(": ", set(wrong)),
            where=where,
            remedy=f"{_CONFIG} and {_WEIGHTS} must come from the same model.",
        )
    return state


def _names(config: BertConfig) -> Iterator[tuple[str, list[str]]]:
    """Each tensor's name here, and the names of the parts that it consists of there."""
    for ours, theirs in _OUTER_NAMES.items():
        yield from _with_suffixes(ours, [theirs])
    for layer in range(config.num_hidden_layers):
        here, there = f"encoder.layers.{layer}", f"bert.encoder.layer.{layer}"
        parts = [f"{there}.attention.self.{part}" for part in ("query", "key", "value")]
        yield from _with_suffixes(f"{here}.attention.query_key_value", parts)
        for ours, theirs in _LAYER_NAMES.items():
            yield from _with_suffixes(f"{here}.{ours}", [f"{there}.{theirs}"])


def _with_suffixes(ours: str, theirs: list[str]) -> Iterator[tuple[str, list[str]]]:
    if ours == "masked_bias":
        suffixes = [""]
    else:
        suffixes = [".weight"] if ours.endswith("embeddings") else [".weight", ".bias"]
    for suffix in suffixes:
        yield ours + suffix, [name + suffix for name in theirs]


def _read_config(path: Path) -> BertConfig:
    try:
        stored = read_json(path)
        fixed = {name: stored.get(name, value) for name, value in _FIXED.items()}
        sizes = {name: stored[name] for name in BertConfig.model_fields if name in stored}
        config = BertConfig.model_validate(sizes)
    except ValidationError as error:
        raise ProlepsisError(
            f"The configuration is wrong: {describe_validation_error(error)}", where=path
        ) from error
    except (OSError, ValueError, AttributeError) as error:
        raise ProlepsisError(
            f"This is not a model's configuration: {error}",
            where=path,
            remedy="Give a folder that save_pretrained or the pipeline 'bert' wrote.",
        ) from error
    if fixed != _FIXED:
        differing = {name: value for name, value in fixed.items() if value != _FIXED[name]}
        raise ProlepsisError(
            f"The folder holds another kind of model: {json.dumps(differing)}.",
            where=path,
            remedy=f"Only BERT's own shape can be read: {json.dumps(_FIXED)}.",
        )
    return config


def _transformers_config(config: BertConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    return {
        "architectures": ["BertForPreTraining"],
        **_FIXED,
        **config.model_dump(),
        "pad_token_id": tokenizer.pad_id,
        "dtype": "float32",
    }


def _write_tokenizer(directory: Path, tokenizer: Tokenizer, config: BertConfig) -> None:
    (directory / _TOKENIZER).write_text(tokenizer.definition, encoding="utf-8")
    write_json(
        directory / _TOKENIZER_CONFIG,
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": config.max_position_embeddings,
            "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
            "clean_up_tokenization_spaces": False,
            **{f"{part}_token": token for part, token in tokenizer.special_tokens.items()},
        },
    )


def _listed(prefix: str, names: set[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return prefix + ", ".join(sorted(names)[:3]) + more
