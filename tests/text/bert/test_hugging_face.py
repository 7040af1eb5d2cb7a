import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from prolepsis.errors import ProlepsisError
from prolepsis.plugins import load, names
from prolepsis.text.bert.attention import block_attention_mask
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.heads import BertForPretraining
from prolepsis.text.bert.hugging_face import PretrainedBert, load_hugging_face
from prolepsis.text.bert.objectives.electra import ElectraObjective
from prolepsis.text.tokenizers import Tokenizer

transformers = pytest.importorskip("transformers")


@pytest.fixture
def folder(tmp_path: Path, tokenizer: Tokenizer, small_config: BertConfig) -> Path:
    torch.manual_seed(0)
    model = BertForPretraining(small_config).eval()
    torch.nn.init.normal_(model.masked_tokens.bias)
    torch.nn.init.normal_(model.sentence_pairs.classifier.bias)
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            torch.nn.init.normal_(module.weight)
            torch.nn.init.normal_(module.bias)
    PretrainedBert.of(model, tokenizer, {"seed": 0}).save(tmp_path / "bert")
    return tmp_path / "bert"


def outputs(
    model: BertForPretraining, tokens: torch.Tensor, types: torch.Tensor, lengths: list[int]
) -> list[torch.Tensor]:
    """The two heads' logits, and where there are real tokens."""
    places = torch.arange(tokens.shape[1])
    real = places < torch.tensor(lengths)[:, None]
    with torch.no_grad():
        hidden = model.encoder(tokens, types, places.expand_as(tokens), block_attention_mask(real.long() - 1))
        return [model.masked_logits(hidden), model.sentence_pairs(hidden[:, 0]), real]


def assert_same_outputs(ours: BertForPretraining, theirs: transformers.BertForPreTraining) -> None:
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, ours.config.vocab_size, (3, 23), generator=generator)
    types = (torch.arange(23) >= torch.tensor([[9], [2], [23]])).long()
    masked, following, real = outputs(ours, tokens, types, [23, 10, 17])
    with torch.no_grad():
        expected = theirs(input_ids=tokens, token_type_ids=types, attention_mask=real.long())
    assert float(masked[real].std()) > 0.1
    torch.testing.assert_close(masked[real], expected.prediction_logits[real], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(following, expected.seq_relationship_logits, rtol=1e-5, atol=1e-5)


def test_transformers_loads_what_is_written_and_gives_the_same_logits(folder: Path) -> None:
    theirs, info = transformers.BertForPreTraining.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values())
    assert_same_outputs(load_hugging_face(folder), theirs.eval())


def test_a_folder_of_transformers_loads_and_gives_the_same_logits(tmp_path: Path) -> None:
    torch.manual_seed(3)
    config = transformers.BertConfig(
        vocab_size=77, hidden_size=24, num_hidden_layers=3, num_attention_heads=3, intermediate_size=40,
        max_position_embeddings=30, initializer_range=0.4,
    )  # fmt: skip
    theirs = transformers.BertForPreTraining(config).eval()
    theirs.save_pretrained(tmp_path)
    assert_same_outputs(load_hugging_face(tmp_path), theirs)


def test_a_model_of_the_size_of_bert_base_goes_there_and_back_with_the_same_logits(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    torch.manual_seed(4)
    shape = transformers.BertConfig()
    assert (shape.num_hidden_layers, shape.hidden_size, shape.vocab_size) == (12, 768, 30_522)
    tokens = torch.randint(0, shape.vocab_size, (2, 40))
    real = torch.arange(40) < torch.tensor([[40], [25]])
    places = torch.arange(40).expand_as(tokens)

    def logits_of(model: Any) -> torch.Tensor:
        with torch.no_grad():
            given: torch.Tensor = model(input_ids=tokens, attention_mask=real.long()).logits[real]
        return given

    theirs = transformers.BertForMaskedLM(shape).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    expected = logits_of(theirs)
    assert float(expected.std()) > 0.1
    del theirs

    ours = load_hugging_face(tmp_path / "theirs")
    with torch.no_grad():
        mask = block_attention_mask(real.long() - 1)
        hidden = ours.encoder(tokens, torch.zeros_like(tokens), places, mask)
        logits = ours.masked_logits(hidden[real])
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)

    PretrainedBert.of(ours, tokenizer).save(tmp_path / "ours")
    del ours
    again, info = transformers.BertForMaskedLM.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info.values())
    torch.testing.assert_close(logits_of(again.eval()), expected, rtol=0, atol=1e-5)
    for folder in ("theirs", "ours"):  # pytest would keep 880 MB of each of the last three runs
        shutil.rmtree(tmp_path / folder, ignore_errors=True)


def test_the_tokenizer_frames_pairs_as_the_model_was_trained_to_see_them(
    folder: Path, tokenizer: Tokenizer
) -> None:
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    encoded = theirs("The cat", "sat on [MASK]")
    a, b = tokenizer.encode_batch(["The cat", "sat on"])
    special = tokenizer.special_ids
    expected = [special["cls"], *a, special["sep"], *b, special["mask"], special["sep"]]
    assert encoded["input_ids"] == expected
    assert encoded["token_type_ids"] == [0] * (len(a) + 2) + [1] * (len(b) + 2)
    assert theirs.model_max_length == 40
    for part, token_id in special.items():
        assert getattr(theirs, f"{part}_token_id") == token_id


def test_what_was_saved_comes_back(folder: Path, tokenizer: Tokenizer, small_config: BertConfig) -> None:
    loaded = PretrainedBert.load(folder)
    assert loaded.config == small_config
    assert loaded.tokenizer == tokenizer
    assert loaded.metadata == {"seed": 0}
    assert not loaded.encoder.training
    profile = loaded.profile()
    assert profile["num_elements"].sum() == sum(p.numel() for p in loaded.pretraining_model().parameters())
    assert profile["finite"].all()


def test_a_loaded_model_can_be_trained_further(folder: Path) -> None:
    model = load_hugging_face(folder)
    assert all(parameter.requires_grad for parameter in model.parameters())
    model.masked_logits(torch.randn(2, model.config.hidden_size)).sum().backward()
    assert model.encoder.embeddings.tokens.weight.grad is not None


def test_the_names_of_the_oldest_folders_are_understood(folder: Path) -> None:
    expected = load_hugging_face(folder).state_dict()
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
    }
    # Those also hold copies of tied weights, and a buffer.
    old["cls.predictions.decoder.weight"] = old["bert.embeddings.word_embeddings.weight"].clone()
    old["bert.embeddings.position_ids"] = torch.arange(40)[None]
    save_file(old, folder / "model.safetensors")
    for name, tensor in load_hugging_face(folder).state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_half_precision_weights_are_read_as_float32(folder: Path) -> None:
    halves = {name: tensor.half() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(halves, folder / "model.safetensors")
    assert {tensor.dtype for tensor in load_hugging_face(folder).state_dict().values()} == {torch.float32}


def test_pickled_weights_are_never_read(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ProlepsisError, match="cannot be read") as caught:
        load_hugging_face(folder)
    assert "safetensors" in str(caught.value.remedy)


def test_a_truncated_file_of_weights_is_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ProlepsisError, match="cannot be read"):
        load_hugging_face(folder)


def test_missing_and_unknown_tensors_are_named(folder: Path) -> None:
    stored = load_file(folder / "model.safetensors")
    stored["bert.embeddings.LayerNorm.scale"] = stored.pop("bert.embeddings.LayerNorm.weight")
    save_file(stored, folder / "model.safetensors")
    message = r"missing: bert.embeddings.LayerNorm.weight; unknown: bert.embeddings.LayerNorm.scale"
    with pytest.raises(ProlepsisError, match=message):
        load_hugging_face(folder)


def test_sizes_that_contradict_the_configuration_are_refused(folder: Path) -> None:
    change_config(folder, intermediate_size=48)
    with pytest.raises(
        ProlepsisError, match=r"sizes that config.json gives: encoder.layers.0.feed_forward.contract.weight"
    ):
        load_hugging_face(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_act": "relu"}, "hidden_act"),
        ({"model_type": "roberta"}, "'roberta'"),
        ({"position_embedding_type": "relative_key"}, "relative_key"),
        ({"num_attention_heads": 3}, "must be a multiple"),
        ({"hidden_size": "wide"}, "hidden_size"),
    ],
)
def test_a_configuration_of_another_model_is_refused(
    folder: Path, change: dict[str, object], message: str
) -> None:
    change_config(folder, **change)
    with pytest.raises(ProlepsisError, match=message) as caught:
        load_hugging_face(folder)
    assert caught.value.where == folder / "config.json"


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ProlepsisError, match="not a model's configuration"):
        load_hugging_face(tmp_path)


@pytest.mark.parametrize("name", ["BertForMaskedLM", "BertModel", "BertForSequenceClassification"])
def test_the_encoder_of_any_bert_of_transformers_loads(folder: Path, tmp_path: Path, name: str) -> None:
    theirs = getattr(transformers, name).from_pretrained(folder).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "theirs")
    loaded = PretrainedBert.load(tmp_path / "theirs")
    original = PretrainedBert.load(folder)
    assert loaded.tokenizer.special_ids == original.tokenizer.special_ids
    for ours, expected in zip(loaded.encoder.parameters(), original.encoder.parameters(), strict=True):
        assert torch.equal(ours, expected)
    texts = ["The cat sat on a mat", "seven large dogs"]
    for ids, expected_ids in zip(
        loaded.tokenizer.encode_batch(texts), original.tokenizer.encode_batch(texts), strict=True
    ):
        np.testing.assert_array_equal(ids, expected_ids)


def test_a_model_without_the_heads_says_which_it_has(folder: Path) -> None:
    weights = {
        name: tensor
        for name, tensor in load_file(folder / "model.safetensors").items()
        if not name.startswith("cls.predictions")
    }
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ProlepsisError, match="heads that it has: sentence_pairs"):
        load_hugging_face(folder)


SHAPES: list[tuple[str, dict[str, object]]] = [
    ("BertForMaskedLM", {}),
    ("AlbertForPreTraining", {"embedding_size": 8, "num_hidden_groups": 1, "hidden_act": "gelu_new"}),
    ("AlbertForMaskedLM", {"embedding_size": 16, "num_hidden_layers": 4, "num_hidden_groups": 2}),
    ("RoFormerForMaskedLM", {"position_embedding_type": "rotary"}),
    ("RoFormerForMaskedLM", {"position_embedding_type": "rotary", "embedding_size": 8}),
]


@pytest.mark.parametrize(("name", "form"), SHAPES)
def test_transformers_computes_the_other_shapes_alike(
    name: str, form: dict[str, object], tmp_path: Path, tokenizer: Tokenizer, small_config: BertConfig
) -> None:
    config = small_config.model_copy(update=form)
    model = filled(BertForPretraining(config, with_sentence_pairs="PreTraining" in name))
    PretrainedBert.of(model, tokenizer).save(tmp_path / "ours")
    assert json.loads((tmp_path / "ours" / "config.json").read_text())["architectures"] == [name]
    theirs, info = getattr(transformers, name).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info.values())
    theirs.eval().save_pretrained(tmp_path / "theirs")
    transformers.AutoTokenizer.from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    back = PretrainedBert.load(tmp_path / "theirs")
    assert back.config == config
    for ours in (PretrainedBert.load(tmp_path / "ours"), back):
        tokens = torch.randint(0, config.vocab_size, (2, 9), generator=torch.Generator().manual_seed(1))
        positions = torch.arange(9).expand(2, 9)
        with torch.no_grad():
            whole = ours.pretraining_model()
            hidden = whole.encoder(tokens, torch.zeros_like(tokens), positions)
            expected = theirs(input_ids=tokens)
        logits = getattr(expected, "prediction_logits", getattr(expected, "logits", None))
        assert float(logits.std()) > 0.1
        torch.testing.assert_close(whole.masked_logits(hidden), logits, rtol=1e-5, atol=1e-5)
        if whole.sentence_pairs is not None:
            torch.testing.assert_close(whole.sentence_pairs(hidden[:, 0]), expected.sop_logits)


def test_a_roformer_that_transformers_made_is_computed_alike(tmp_path: Path, tokenizer: Tokenizer) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    config = transformers.RoFormerConfig(vocab_size=tokenizer.vocabulary_size, **sizes)
    theirs = filled(transformers.RoFormerForMaskedLM(config))
    with torch.no_grad():  # no parameter: its table of angles stays
        position_table = theirs.roformer.encoder.embed_positions
        position_table.weight.copy_(position_table.create_weight())
    theirs.save_pretrained(tmp_path)
    assert "position_embedding_type" not in json.loads((tmp_path / "config.json").read_text())
    ours = load_hugging_face(tmp_path)
    tokens = torch.randint(0, tokenizer.vocabulary_size, (2, 9), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        hidden = ours.encoder(tokens, torch.zeros_like(tokens), torch.arange(9).expand(2, 9))
        expected = theirs(input_ids=tokens).logits
    assert float(expected.std()) > 0.1
    torch.testing.assert_close(ours.masked_logits(hidden), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("embedding_size", [None, 8])
def test_transformers_finds_the_same_replaced_tokens(
    embedding_size: int | None, tmp_path: Path, tokenizer: Tokenizer, small_config: BertConfig
) -> None:
    config = small_config.model_copy(update={"embedding_size": embedding_size})
    objective = ElectraObjective(ElectraObjective.Config(max_length=16), tokenizer)
    model = filled(objective.build_model(config, np.ones(5, np.int64)))
    PretrainedBert.of(model, tokenizer).save(tmp_path / "ours")
    theirs = transformers.ElectraForPreTraining.from_pretrained(tmp_path / "ours").eval()
    theirs.save_pretrained(tmp_path / "theirs")
    transformers.AutoTokenizer.from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    assert PretrainedBert.load(tmp_path / "theirs").config == config
    tokens = torch.randint(0, config.vocab_size, (2, 9), generator=torch.Generator().manual_seed(1))
    positions = torch.arange(9).expand(2, 9)
    with torch.no_grad():
        hidden = model.encoder(tokens, torch.zeros_like(tokens), positions)
        expected = theirs(input_ids=tokens).logits
    assert float(expected.std()) > 0.1
    torch.testing.assert_close(model.discriminator(hidden), expected, rtol=1e-5, atol=1e-5)
    # The generator is kept, and the embeddings that it shares are written once.
    loaded = PretrainedBert.load(tmp_path / "ours")
    assert loaded.weights.keys() == PretrainedBert.of(model, tokenizer).weights.keys()
    assert any(name.startswith("generator.layers") for name in loaded.weights)
    assert not any(name.startswith("generator.embeddings") for name in loaded.weights)
    for name, tensor in loaded.weights.items():
        assert torch.equal(tensor, model.state_dict()[name]), name


@pytest.mark.parametrize(
    ("name", "positions"),
    [
        (name, positions)
        for name in names("prolepsis.pretraining_objectives")
        for positions in ("absolute", "rotary")
        if (name, positions) != ("electra", "rotary")  # transformers' ELECTRA has learned positions only
    ],
)
def test_transformers_loads_the_encoder_of_every_objective(
    name: str, positions: str, tmp_path: Path, tokenizer: Tokenizer, small_config: BertConfig
) -> None:
    plugin = load("prolepsis.pretraining_objectives", name)
    objective = plugin(plugin.Config(max_length=32), tokenizer)
    changes = {"vocab_size": small_config.vocab_size + 10, "position_embedding_type": positions}
    config = small_config.model_copy(update=changes)
    model = filled(objective.build_model(config, np.ones(5, np.int64)))
    PretrainedBert.of(model, tokenizer).save(tmp_path / name)
    theirs = transformers.AutoModel.from_pretrained(tmp_path / name).eval()
    tokens = torch.randint(0, config.vocab_size, (2, 9), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        encoder = PretrainedBert.load(tmp_path / name).encoder
        hidden = encoder(tokens, torch.zeros_like(tokens), torch.arange(9).expand(2, 9))
        expected = theirs(input_ids=tokens).last_hidden_state
    torch.testing.assert_close(hidden, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "form",
    [
        {"norm_first": True},
        {"position_embedding_type": "rotary", "rotary_base": 500.0},
        {"position_embedding_type": "rotary", "num_hidden_groups": 1},
        {"gated_feed_forward": True, "hidden_act": "silu"},
        {"num_hidden_groups": 1},
    ],
)
def test_a_shape_that_transformers_does_not_know_comes_back_too(
    form: dict[str, object], tmp_path: Path, tokenizer: Tokenizer, small_config: BertConfig
) -> None:
    config = small_config.model_copy(update=form)
    model = filled(BertForPretraining(config))
    PretrainedBert.of(model, tokenizer).save(tmp_path / "bert")
    loaded = PretrainedBert.load(tmp_path / "bert")
    assert loaded.config == config
    assert loaded.weights.keys() == PretrainedBert.of(model, tokenizer).weights.keys()
    for name, tensor in loaded.pretraining_model().state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name


@pytest.mark.parametrize("form", [{"norm_first": True}, {"position_embedding_type": "rotary"}])
@pytest.mark.parametrize("name", names("prolepsis.pretraining_objectives"))
def test_what_every_objective_made_in_another_form_comes_back(
    name: str, form: dict[str, object], tmp_path: Path, tokenizer: Tokenizer, small_config: BertConfig
) -> None:
    plugin = load("prolepsis.pretraining_objectives", name)
    objective = plugin(plugin.Config(max_length=32), tokenizer)
    config = small_config.model_copy(update={"vocab_size": small_config.vocab_size + 10, **form})
    model = filled(objective.build_model(config, np.ones(5, np.int64)))
    written = PretrainedBert.of(model, tokenizer)
    written.save(tmp_path / name)
    loaded = PretrainedBert.load(tmp_path / name)
    assert loaded.config == config
    assert loaded.weights.keys() == written.weights.keys()
    for tensor in loaded.weights:
        assert torch.equal(loaded.weights[tensor], written.weights[tensor]), tensor


def filled(model: Any) -> Any:
    """Parameters far from those of untrained models, so that every one of them, and every token, tells."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
            else:
                parameter.normal_(std=0.5, generator=generator)
    return model.eval()


def test_saving_again_replaces_the_folder_as_a_whole(folder: Path) -> None:
    (folder / "left_over.txt").write_text("old")
    model = PretrainedBert.load(folder)
    model.save(folder)
    assert not (folder / "left_over.txt").exists()
    assert not [path for path in folder.parent.iterdir() if path != folder]
    again = PretrainedBert.load(folder)
    assert torch.equal(again.weights["masked_tokens.bias"], model.weights["masked_tokens.bias"])


def change_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def test_a_tokenizer_that_grew_without_its_model_is_refused(folder: Path) -> None:
    model = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    size = config["vocab_size"] - 1
    config["vocab_size"] = size
    cut = {
        name: tensor[:size].clone() if tensor.dim() and len(tensor) == size + 1 else tensor
        for name, tensor in model.items()
    }
    save_file(cut, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ProlepsisError, match=f"the model embeds only {size}") as caught:
        PretrainedBert.load(folder)
    assert caught.value.where == folder
    assert "resize_token_embeddings" in str(caught.value.remedy)
