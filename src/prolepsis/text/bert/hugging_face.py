"""Pretrained encoders as Hugging Face folders, written and read.

`transformers.AutoModel.from_pretrained(folder)` and `AutoTokenizer.from_pretrained(folder)` load what is
written here and give the same numbers, where transformers has a model of that shape: BERT, ALBERT, ELECTRA,
RoFormer. A folder that transformers wrote of one of these loads here. Weights are read from safetensors only.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from prolepsis.errors import ProlepsisError
from prolepsis.files import atomic_directory, read_json, write_json
from prolepsis.plugins import describe_validation_error
from prolepsis.text.bert.attention import rotary_phases
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.heads import BertForPretraining
from prolepsis.text.bert.layouts import (
    LAYOUTS,
    ROFORMER,
    Layout,
    architecture,
    config_for_transformers,
    config_from_transformers,
    layout_of,
    own_name,
)
from prolepsis.text.bert.model import BertEncoder
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.training.checkpoint import independent
from prolepsis.training.saved_model import SavedModel

if TYPE_CHECKING:
    import polars as pl

_CONFIG = "config.json"
_WEIGHTS = "model.safetensors"
_TOKENIZER = "tokenizer.json"
_TOKENIZER_CONFIG = "tokenizer_config.json"
_METADATA = "prolepsis.json"
_FORMAT = {"format": "pt"}
_PARTS = ("pad", "unk", "cls", "sep", "mask")

# Copies of tied weights and buffers, and heads of other tasks, that need not be read.
_IGNORED = (
    "cls.predictions.decoder.",
    "predictions.decoder.",
    ".embeddings.position_ids",
    ".embeddings.token_type_ids",
    ".encoder.embed_positions.",
    "classifier.",
)


class _Pretrained(Protocol):
    @property
    def encoder(self) -> BertEncoder: ...

    def state_dict(self) -> dict[str, Tensor]: ...


@dataclass(frozen=True)
class PretrainedBert:
    """A pretrained encoder with the heads it was trained with, and the tokenizer that it speaks.

    Attributes:
        config: the encoder's shape.
        weights: of the encoder, `encoder.…`, and of its heads, on the CPU.
        metadata: what made it, JSON-like.
    """

    config: BertConfig
    weights: Mapping[str, Tensor] = field(repr=False)
    tokenizer: Tokenizer
    metadata: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, model: _Pretrained, tokenizer: Tokenizer, metadata: dict[str, Any] | None = None
    ) -> "PretrainedBert":
        """A model that an objective built, as it is now: its weights are copied."""
        own = _without_shared(model.state_dict())
        return cls(model.encoder.config, independent(own), tokenizer, metadata or {})

    @cached_property
    def encoder(self) -> BertEncoder:
        """What gives a text's vectors, in evaluation mode."""
        with torch.device("meta"):
            encoder = BertEncoder(self.config)
        weights = {name.removeprefix("encoder."): tensor for name, tensor in self._of("encoder").items()}
        encoder.load_state_dict(weights, assign=True)
        return encoder.eval()

    def pretraining_model(self) -> BertForPretraining:
        """The encoder with BERT's heads, in evaluation mode.

        Raises:
            ProlepsisError: it was pretrained with other heads.
        """
        return _with_heads(self.config, self.weights)

    def save(self, directory: Path) -> None:
        """Writes the folder, whole or not at all."""
        modules = {name.partition(".")[0] for name in self.weights}
        layout = layout_of(self.config, is_discriminator="discriminator" in modules)
        config = {
            "architectures": [architecture(layout, modules)],
            "model_type": layout.model_type,
            **config_for_transformers(layout, self.config),
            "pad_token_id": self.tokenizer.pad_id,
            "dtype": "float32",
        }
        with atomic_directory(directory) as temporary:
            write_json(temporary / _CONFIG, config)
            weights = to_transformers(self.weights, layout) | _position_tables(self.config, layout)
            save_file(weights, temporary / _WEIGHTS, _FORMAT)
            _write_tokenizer(temporary, self.tokenizer, self.config)
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
        """Reads a folder that `save` wrote, or transformers with a fast tokenizer beside the model.

        Raises:
            ProlepsisError: it is not such a folder, or not a whole one, or holds a model that is computed
                otherwise, or a tokenizer with more tokens than the model embeds.
        """
        config, weights = _read_model(Path(directory))
        tokenizer, metadata = _read_tokenizer(Path(directory))
        if tokenizer.vocabulary_size > config.vocab_size:
            raise ProlepsisError(
                f"The tokenizer has {tokenizer.vocabulary_size} tokens, the model embeds only "
                f"{config.vocab_size}.",
                where=directory,
                remedy="Call the model's resize_token_embeddings after adding tokens, and save it again.",
            )
        return cls(config, weights, tokenizer, metadata)

    def profile(self) -> "pl.DataFrame":
        """One row per tensor: `tensor`, `dtype`, `num_elements`, `finite`."""
        return SavedModel(dict(self.weights)).profile()

    def _of(self, module: str) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in self.weights.items() if name.startswith(f"{module}.")}


def load_hugging_face(directory: Path) -> BertForPretraining:
    """The encoder with BERT's heads in a folder written by transformers or by this project.

    Raises:
        ProlepsisError: a file is missing or broken, or the folder holds a model that is computed otherwise,
            or with other heads.
    """
    return _with_heads(*_read_model(Path(directory)))


def to_transformers(weights: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Our tensors under the names of transformers."""
    renamed: dict[str, Tensor] = {}
    for ours, tensor in weights.items():
        theirs = layout.theirs(ours)
        parts = tensor.detach().cpu().chunk(len(theirs))
        renamed |= {name: part.clone() for name, part in zip(theirs, parts, strict=True)}
    return renamed


def from_transformers(
    stored: Mapping[str, Tensor], config: BertConfig, layout: Layout, where: Path
) -> dict[str, Tensor]:
    """The reverse of `to_transformers`, in float32; heads that `stored` lacks are left out.

    Raises:
        ProlepsisError: tensors are missing, unknown, or not of the shape that `config` gives them.
    """
    stored = _modern_names(stored, layout)
    weights = {
        ours: tensor.float() for name, tensor in stored.items() if (ours := own_name(name)) is not None
    }
    expected = _expected_shapes(config, layout)
    if any(name.startswith("generator.") for name in weights):  # the head for hidden tokens stands on that
        expected = {ours: shape for ours, shape in expected.items() if not ours.startswith("masked_tokens.")}
    theirs = {ours: layout.theirs(ours) for ours in expected}
    present = {ours for ours, names in theirs.items() if all(name in stored for name in names)}
    weights |= {
        ours: torch.cat([stored[name].float() for name in names])
        for ours, names in theirs.items()
        if ours in present and ours not in weights
    }
    weights = _without_incomplete_heads(weights, expected)
    missing = {ours for ours in expected if ours.startswith("encoder.")} - weights.keys()
    known = {name for names in theirs.values() for name in names}
    unknown = {name for name in stored if name not in known and own_name(name) is None}
    if missing or unknown:
        raise ProlepsisError(
            f"The weights are not those of a model of type {layout.model_type}"
            + _listed("; missing: ", {name for ours in missing for name in theirs[ours]} - stored.keys())
            + _listed("; unknown: ", unknown),
            where=where,
            remedy="Save the model with save_pretrained, whole.",
        )
    wrong = [
        f"{name} {tuple(weights[name].shape)}"
        for name in weights.keys() & expected.keys()
        if weights[name].shape != expected[name]
    ]
    if wrong:
        raise ProlepsisError(
            f"The weights do not have the sizes that {_CONFIG} gives" + _listed(": ", wrong),
            where=where,
            remedy=f"{_CONFIG} and {_WEIGHTS} must come from the same model.",
        )
    return weights


def _position_tables(config: BertConfig, layout: Layout) -> dict[str, Tensor]:
    """RoFormer's sines and cosines, which transformers expects among the weights and never trains."""
    if layout is not ROFORMER:
        return {}
    positions = torch.arange(config.max_position_embeddings)[None]
    phases = rotary_phases(positions, config.head_size, config.rotary_base)[0, 0]
    return {"roformer.encoder.embed_positions.weight": torch.cat([phases.imag, phases.real], dim=-1)}


def _without_incomplete_heads(
    weights: dict[str, Tensor], expected: Mapping[str, torch.Size]
) -> dict[str, Tensor]:
    """A model saved without a head may still have a part of it, as BertModel has the pooler."""
    missing = {name.partition(".")[0] for name in expected if name not in weights} - {"encoder"}
    return {name: tensor for name, tensor in weights.items() if name.partition(".")[0] not in missing}


def _expected_shapes(config: BertConfig, layout: Layout) -> dict[str, torch.Size]:
    """The shapes of the encoder's tensors and of the heads that a layout has names for."""
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in BertForPretraining(config).state_dict().items()}
    if layout.model_type == "electra":
        shapes = {name: shape for name, shape in shapes.items() if name.startswith("encoder.")}
        width = config.hidden_size
        for module, size in (("transform", width), ("output", 1)):
            shapes[f"discriminator.{module}.weight"] = torch.Size((size, width))
            shapes[f"discriminator.{module}.bias"] = torch.Size((size,))
    return shapes


def _modern_names(stored: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Without what need not be read; names as `…ForPreTraining` has them, whatever class was saved.

    TensorFlow's names live on in the oldest folders, bert-base-uncased among them.
    """
    renamed = {}
    for name, tensor in stored.items():
        modern = name.replace(".gamma", ".weight").replace(".beta", ".bias")
        if modern.startswith(("embeddings.", "encoder.", "pooler.", "embeddings_project.")):
            modern = f"{layout.model_type}.{modern}"  # a model saved without heads
        ignored = any(modern.startswith(part) or part in f".{modern}" for part in _ignored(layout))
        if own_name(name) is not None or not ignored:
            renamed[modern] = tensor
    return renamed


def _ignored(layout: Layout) -> tuple[str, ...]:
    # ALBERT's head for sentence order is called a classifier too.
    return tuple(part for part in _IGNORED if layout.model_type != "albert" or part != "classifier.")


def _without_shared(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor under the first of its names: models may share embeddings."""
    seen: dict[tuple[int, torch.Size], str] = {}
    own = {}
    for name, tensor in weights.items():
        if seen.setdefault((tensor.data_ptr(), tensor.shape), name) == name:
            own[name] = tensor
    return own


def _read_model(directory: Path) -> tuple[BertConfig, dict[str, Tensor]]:
    layout, config = _read_config(directory / _CONFIG)
    path = directory / _WEIGHTS
    return config, from_transformers(_read_weights(path), config, layout, path)


def _with_heads(config: BertConfig, weights: Mapping[str, Tensor]) -> BertForPretraining:
    heads = {name.partition(".")[0] for name in weights} - {"encoder"}
    if "masked_tokens" not in heads or heads - {"masked_tokens", "sentence_pairs"}:
        raise ProlepsisError(
            "This is not a model with BERT's pretraining heads; the heads that it has: "
            f"{', '.join(sorted(heads)) or 'none'}.",
            remedy="Take its encoder: PretrainedBert.load(folder).encoder.",
        )
    # Nothing is allocated or drawn at random for weights that are already there.
    with torch.device("meta"):
        model = BertForPretraining(config, with_sentence_pairs="sentence_pairs" in heads)
    model.load_state_dict(dict(weights), assign=True)
    return model.eval()


def _read_config(path: Path) -> tuple[Layout, BertConfig]:
    try:
        stored = read_json(path)
        layout = LAYOUTS.get(stored.get("model_type", "bert"))
        config = None if layout is None else config_from_transformers(layout, stored)
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
    if layout is None or config is None:
        raise ProlepsisError(
            f"The folder holds another kind of model: {stored['model_type']!r}.",
            where=path,
            remedy=f"These can be read: {', '.join(sorted(LAYOUTS))}.",
        )
    fixed = {name: stored.get(name, value) for name, value in layout.fixed.items()}
    if fixed != layout.fixed:
        differing = {name: value for name, value in fixed.items() if value != layout.fixed[name]}
        raise ProlepsisError(
            f"The folder holds another kind of model: {json.dumps(differing)}.",
            where=path,
            remedy=f"Only {layout.model_type}'s own shape can be read: {json.dumps(dict(layout.fixed))}.",
        )
    return layout, config


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ProlepsisError(
            f"The weights cannot be read: {error}",
            where=path,
            remedy="Save the model with safetensors (save_pretrained does); pickled weights are never read.",
        ) from error


def _read_tokenizer(directory: Path) -> tuple[Tokenizer, dict[str, Any]]:
    """The tokenizer, and what made the model, as far as the folder says."""
    try:
        definition = (directory / _TOKENIZER).read_text(encoding="utf-8")
        if not (directory / _METADATA).exists():
            special = _special_tokens(read_json(directory / _TOKENIZER_CONFIG))
            return Tokenizer(definition, "transformers", {}, special), {}
        metadata = read_json(directory / _METADATA)
        origin = metadata["tokenizer"]
        tokenizer = Tokenizer(definition, origin["plugin"], origin["config"], origin["special_tokens"])
        return tokenizer, metadata["made_by"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProlepsisError(
            f"The model's tokenizer cannot be read: {error}",
            where=directory,
            remedy="Give a folder of the pipeline 'bert', or save transformers' fast tokenizer in it.",
        ) from error


def _special_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    tokens = {part: config.get(f"{part}_token") for part in _PARTS}
    named = {
        part: token["content"] if isinstance(token, Mapping) else token for part, token in tokens.items()
    }
    return {part: token for part, token in named.items() if token}


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


def _listed(prefix: str, names: Collection[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return prefix + ", ".join(sorted(names)[:3]) + more
