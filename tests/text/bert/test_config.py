import pytest
from pydantic import ValidationError

from prolepsis.errors import ProlepsisError
from prolepsis.text.bert.config import BertConfig


def test_the_defaults_are_bert_base() -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertConfig()
    config = BertConfig().model_dump()
    forms = {
        "gated_feed_forward": False,
        "norm_first": False,
        "embedding_size": None,
        "num_hidden_groups": None,
    }
    forms |= {"position_embedding_type": "absolute", "rotary_base": 10_000.0}
    assert {name: config.pop(name) for name in forms} == forms
    for name, value in config.items():
        assert getattr(theirs, name) == value, name


def test_the_hidden_size_must_be_a_multiple_of_the_heads() -> None:
    with pytest.raises(ValidationError, match=r"hidden_size \(10\) must be a multiple .*\(3\)"):
        BertConfig(hidden_size=10, num_attention_heads=3)


def test_layers_are_shared_in_groups_of_one_size() -> None:
    assert BertConfig(num_hidden_groups=3).num_layer_groups == 3
    with pytest.raises(ValidationError, match=r"num_hidden_layers \(12\) must be a multiple .*\(5\)"):
        BertConfig(num_hidden_groups=5)


def test_rotary_positions_need_heads_of_even_size() -> None:
    with pytest.raises(ValidationError, match=r"\(5\) must be even"):
        BertConfig(hidden_size=10, num_attention_heads=2, position_embedding_type="rotary")


@pytest.mark.parametrize(
    "values",
    [{"hidden_sise": 128}, {"hidden_size": "abc"}, {"num_hidden_layers": 0}, {"hidden_dropout_prob": 1}],
)
def test_wrong_keys_and_values_are_refused_by_name(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(values))):
        BertConfig.model_validate(values)


def test_a_vocabulary_larger_than_the_models_is_refused() -> None:
    config = BertConfig(vocab_size=100)
    config.check_fits(vocabulary_size=100, max_length=512)
    with pytest.raises(ProlepsisError, match="101 tokens, the model embeds only 100") as caught:
        config.check_fits(vocabulary_size=101, max_length=128)
    assert caught.value.where == "model.vocab_size"


def test_rows_longer_than_the_positions_are_refused() -> None:
    with pytest.raises(ProlepsisError, match="Rows of 129 tokens do not fit 128") as caught:
        BertConfig(max_position_embeddings=128).check_fits(vocabulary_size=10, max_length=129)
    assert caught.value.where == "model.max_position_embeddings"
