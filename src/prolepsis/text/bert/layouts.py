"""How transformers names the tensors of BERT and its relatives, and what it must find in `config.json`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prolepsis.text.bert.config import BertConfig

_LAYER = re.compile(r"encoder\.layers\.(\d+)\.(.+)")
_OWN_PREFIX = "prolepsis."
_QUERY_KEY_VALUE = "attention.query_key_value"


@dataclass(frozen=True)
class Layout:
    """The names of one model of transformers.

    Attributes:
        model_type: in `config.json`.
        outer: our module to theirs, for what is not in a layer.
        layer: theirs of layer `{}`.
        inner: our module in a layer to theirs.
        query_key_value: the three modules that ours is in one.
        fixed: keys of `config.json` that this layout stands for, with their values.
        defaults: what transformers takes for keys that a `config.json` lacks, where it is not BERT's value.
    """

    model_type: str
    outer: Mapping[str, str]
    layer: str
    inner: Mapping[str, str]
    query_key_value: tuple[str, str, str]
    fixed: Mapping[str, Any]
    defaults: Mapping[str, Any]

    def theirs(self, ours: str) -> list[str]:
        """The names of the parts of one of our tensors; what transformers has no place for keeps its own."""
        module, _, kind = ours.rpartition(".")
        if module in self.outer:
            return [f"{self.outer[module]}.{kind}"]
        found = _LAYER.fullmatch(module)
        if found is None or not self.layer:
            return [_OWN_PREFIX + ours]
        prefix = self.layer.format(found[1])
        if found[2] == _QUERY_KEY_VALUE:
            return [f"{prefix}.{part}.{kind}" for part in self.query_key_value]
        return [f"{prefix}.{self.inner[found[2]]}.{kind}"]


def own_name(theirs: str) -> str | None:
    """Our name of a tensor that transformers has no place for, or None if it is another one."""
    return theirs.removeprefix(_OWN_PREFIX) if theirs.startswith(_OWN_PREFIX) else None


def _embeddings(model: str) -> dict[str, str]:
    there = f"{model}.embeddings"
    return {
        "encoder.embeddings.tokens": f"{there}.word_embeddings",
        "encoder.embeddings.positions": f"{there}.position_embeddings",
        "encoder.embeddings.types": f"{there}.token_type_embeddings",
        "encoder.embeddings.norm": f"{there}.LayerNorm",
    }


_NO_DECODER = {"is_decoder": False, "add_cross_attention": False}
_BERT_INNER = {
    "attention.output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "feed_forward.expand": "intermediate.dense",
    "feed_forward.contract": "output.dense",
    "output_norm": "output.LayerNorm",
}
_BERT_MASKED_TOKENS = {
    "masked_tokens": "cls.predictions",
    "masked_tokens.transform": "cls.predictions.transform.dense",
    "masked_tokens.norm": "cls.predictions.transform.LayerNorm",
}
_BERT_ATTENTION = ("attention.self.query", "attention.self.key", "attention.self.value")

BERT = Layout(
    model_type="bert",
    outer={
        **_embeddings("bert"),
        **_BERT_MASKED_TOKENS,
        "sentence_pairs.pooler": "bert.pooler.dense",
        "sentence_pairs.classifier": "cls.seq_relationship",
    },
    layer="bert.encoder.layer.{}",
    inner=_BERT_INNER,
    query_key_value=_BERT_ATTENTION,
    fixed={**_NO_DECODER, "tie_word_embeddings": True, "position_embedding_type": "absolute"},
    defaults={},
)
ALBERT = Layout(
    model_type="albert",
    outer={
        **_embeddings("albert"),
        "encoder.projection": "albert.encoder.embedding_hidden_mapping_in",
        "masked_tokens": "predictions",
        "masked_tokens.transform": "predictions.dense",
        "masked_tokens.norm": "predictions.LayerNorm",
        "sentence_pairs.pooler": "albert.pooler",
        "sentence_pairs.classifier": "sop_classifier.classifier",
    },
    layer="albert.encoder.albert_layer_groups.{}.albert_layers.0",
    inner={
        "attention.output": "attention.dense",
        "attention_norm": "attention.LayerNorm",
        "feed_forward.expand": "ffn",
        "feed_forward.contract": "ffn_output",
        "output_norm": "full_layer_layer_norm",
    },
    query_key_value=("attention.query", "attention.key", "attention.value"),
    fixed={"inner_group_num": 1, "tie_word_embeddings": True, "position_embedding_type": "absolute"},
    defaults={
        "hidden_act": "gelu_new",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "embedding_size": 128,
        "num_hidden_groups": 1,
    },
)
ELECTRA = Layout(
    model_type="electra",
    outer={
        **_embeddings("electra"),
        "encoder.projection": "electra.embeddings_project",
        "discriminator.transform": "discriminator_predictions.dense",
        "discriminator.output": "discriminator_predictions.dense_prediction",
    },
    layer="electra.encoder.layer.{}",
    inner=_BERT_INNER,
    query_key_value=_BERT_ATTENTION,
    fixed={**_NO_DECODER, "tie_word_embeddings": True, "position_embedding_type": "absolute"},
    defaults={"embedding_size": 128},
)
_ROTARY_BASE = 10_000.0
ROFORMER = Layout(
    model_type="roformer",
    outer={
        **_embeddings("roformer"),
        "encoder.projection": "roformer.embeddings_project",
        **_BERT_MASKED_TOKENS,
    },
    layer="roformer.encoder.layer.{}",
    inner=_BERT_INNER,
    query_key_value=_BERT_ATTENTION,
    fixed={**_NO_DECODER, "tie_word_embeddings": True, "rotary_value": False},
    defaults={"vocab_size": 50_000, "max_position_embeddings": 1536},
)
OWN = Layout(
    model_type="prolepsis",
    outer={},
    layer="",
    inner={},
    query_key_value=("", "", ""),
    fixed={},
    defaults={},
)
"""For what transformers cannot compute: pre-norm, gates, rotary positions in shared layers or ELECTRA."""

LAYOUTS = {layout.model_type: layout for layout in (BERT, ALBERT, ELECTRA, ROFORMER, OWN)}


def layout_of(config: BertConfig, *, is_discriminator: bool) -> Layout:
    """The layout by which transformers computes what a model of this shape does."""
    if config.norm_first or config.gated_feed_forward or config.hidden_act == "silu":
        return OWN
    if config.position_embedding_type == "rotary":
        is_own = is_discriminator or config.num_hidden_groups or config.rotary_base != _ROTARY_BASE
        return OWN if is_own or config.embedding_size == config.hidden_size else ROFORMER
    if is_discriminator:
        # Its generator may share the embeddings of a factorised model only by a projection of equal sizes.
        is_own = config.num_hidden_groups or config.embedding_size == config.hidden_size
        return OWN if is_own else ELECTRA
    if config.num_hidden_groups is None and config.embedding_size is None:
        return BERT
    return OWN if config.embedding_size is None else ALBERT


def architecture(layout: Layout, modules: set[str]) -> str:
    """The class of transformers with all heads of a model, given the first parts of its tensors' names."""
    if layout is OWN:
        return "BertEncoder"
    if layout is ELECTRA:
        return "ElectraForPreTraining"
    name = {"bert": "Bert", "albert": "Albert", "roformer": "RoFormer"}[layout.model_type]
    if "sentence_pairs" in modules and layout is not ROFORMER:
        return f"{name}ForPreTraining"
    return f"{name}ForMaskedLM" if "masked_tokens" in modules else f"{name}Model"


def config_for_transformers(layout: Layout, config: BertConfig) -> dict[str, Any]:
    """The keys of `config.json` that depend on the model's shape."""
    values = config.model_dump()
    if layout is OWN:
        return values
    for name in ("gated_feed_forward", "norm_first", "rotary_base"):
        del values[name]
    if layout is ALBERT:
        values["num_hidden_groups"] = config.num_layer_groups
    else:
        del values["num_hidden_groups"]
    if layout in (ELECTRA, ROFORMER):
        values["embedding_size"] = config.embedding_width
    if layout is BERT:
        del values["embedding_size"]
    return {**values, **layout.fixed}


def config_from_transformers(layout: Layout, stored: Mapping[str, Any]) -> BertConfig:
    """The reverse of `config_for_transformers`; raises pydantic's ValidationError."""
    stored = {**layout.defaults, **stored}
    values = {name: stored[name] for name in BertConfig.model_fields if name in stored}
    if layout in (ELECTRA, ROFORMER) and values.get("embedding_size") == values.get("hidden_size"):
        values["embedding_size"] = None
    if layout is ALBERT and values["num_hidden_groups"] == values.get("num_hidden_layers"):
        values["num_hidden_groups"] = None
    if layout is BERT:
        values.pop("embedding_size", None)
        values.pop("num_hidden_groups", None)
    if layout is ROFORMER:  # transformers writes nothing of its positions, which are always these
        values |= {"position_embedding_type": "rotary", "rotary_base": _ROTARY_BASE}
        values.pop("num_hidden_groups", None)
    return BertConfig.model_validate(values)
