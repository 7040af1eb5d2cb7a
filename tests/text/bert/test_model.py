import numpy as np
import pytest
import torch
from torch import Tensor

from prolepsis.text.bert.attention import block_attention_mask
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.heads import BertForPretraining


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"vocab_size": 8000, "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2},
        {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
    ],
)
def test_it_has_as_many_parameters_as_transformers_bert(sizes: dict[str, int]) -> None:
    transformers = pytest.importorskip("transformers")
    with torch.device("meta"):
        ours = BertForPretraining(BertConfig(**sizes))
        theirs = transformers.BertForPreTraining(transformers.BertConfig(**sizes))
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_examples_that_share_a_row_do_not_see_each_other_nor_the_padding(small_config: BertConfig) -> None:
    torch.manual_seed(0)
    model = BertForPretraining(small_config).eval()
    lengths = [7, 3, 11]
    examples = [torch.randint(5, small_config.vocab_size, (1, length)) for length in lengths]
    alone = [_encode(model, tokens, torch.zeros_like(tokens)) for tokens in examples]

    padding = torch.zeros(1, 6, dtype=torch.int64)
    tokens = torch.cat([*examples, padding], dim=1)
    numbers = torch.from_numpy(np.repeat([0, 1, 2, -1], [*lengths, 6])[None])
    packed = _encode(model, tokens, numbers)
    assert torch.isfinite(packed).all()
    for vectors, expected in zip(packed.split([*lengths, 6], dim=1), alone, strict=False):
        torch.testing.assert_close(vectors, expected, rtol=1e-5, atol=1e-5)

    # The test can tell: without the mask the same row gives other vectors.
    positions = _positions(numbers)
    unmasked = model.encoder(tokens, torch.zeros_like(tokens), positions)
    assert (unmasked - packed).abs().max() > 1e-2


FORMS = {
    "pre-norm": {"norm_first": True},
    "rotary": {"position_embedding_type": "rotary"},
    "GEGLU": {"gated_feed_forward": True},
    "SwiGLU": {"gated_feed_forward": True, "hidden_act": "silu"},
    "factorised": {"embedding_size": 6},
    "shared": {"num_hidden_groups": 1},
    "all": {
        "norm_first": True,
        "position_embedding_type": "rotary",
        "gated_feed_forward": True,
        "embedding_size": 6,
        "num_hidden_groups": 1,
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_in_every_form_a_token_sees_its_own_example_where_it_stands(
    form: str, small_config: BertConfig
) -> None:
    torch.manual_seed(0)
    model = BertForPretraining(small_config.model_copy(update=FORMS[form])).eval()
    tokens = torch.randint(5, small_config.vocab_size, (1, 12))
    alone = _encode(model, tokens[:, :7], torch.zeros(1, 7, dtype=torch.int64))
    packed = _encode(model, tokens, torch.tensor([[0] * 7 + [1] * 5]))
    torch.testing.assert_close(packed[:, :7], alone, rtol=1e-5, atol=1e-5)
    # The order counts: with the first two exchanged, the third sees something else.
    swapped = tokens[:, [1, 0, *range(2, 7)]]
    other = _encode(model, swapped, torch.zeros(1, 7, dtype=torch.int64))
    assert (other[:, 2] - alone[:, 2]).abs().max() > 1e-3


def test_the_forms_have_the_parameters_that_their_papers_say() -> None:
    def count(**form: object) -> int:
        config = BertConfig.model_validate({"vocab_size": 30000, **form})
        with torch.device("meta"):
            return sum(p.numel() for p in BertForPretraining(config).encoder.parameters())

    # With the pooler ALBERT-base has 12 million parameters (Lan et al. 2020, table 1); BERT-base has 108.
    pooler = 768 * 768 + 768
    assert count(embedding_size=128, num_hidden_groups=1) + pooler == pytest.approx(12e6, rel=0.03)
    assert count() == pytest.approx(108e6, rel=0.02)
    # A gate is a third projection, pre-norm one more norm; rotary positions have no weights.
    assert count(gated_feed_forward=True) - count() == 12 * (768 * 3072 + 3072)
    assert count(norm_first=True) - count() == 2 * 768
    assert count() - count(position_embedding_type="rotary") == 512 * 768


def test_pre_norm_is_an_identity_with_norms_where_sublayers_give_nothing(small_config: BertConfig) -> None:
    torch.manual_seed(0)
    encoder = BertForPretraining(small_config.model_copy(update={"norm_first": True})).encoder.eval()
    for layer in encoder.layers:
        torch.nn.init.zeros_(layer.attention.output.weight)
        torch.nn.init.zeros_(layer.feed_forward.contract.weight)
    tokens = torch.randint(5, small_config.vocab_size, (1, 5))
    zeros, positions = torch.zeros_like(tokens), torch.arange(5)[None]
    expected = encoder.final_norm(encoder.embeddings(tokens, zeros, positions))
    torch.testing.assert_close(encoder(tokens, zeros, positions), expected)


def test_the_output_of_hidden_tokens_is_tied_to_the_embeddings(small_config: BertConfig) -> None:
    model = BertForPretraining(small_config)
    model.masked_logits(torch.randn(3, small_config.hidden_size)).sum().backward()
    gradient = model.encoder.embeddings.tokens.weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_weights_start_from_a_normal_distribution_cut_at_two_deviations() -> None:
    torch.manual_seed(0)
    config = BertConfig(vocab_size=2000, hidden_size=64, num_hidden_layers=1, num_attention_heads=2)
    weights = BertForPretraining(config).encoder.embeddings.tokens.weight.detach()
    assert float(weights.abs().max()) <= 2 * config.initializer_range
    # The deviation of a standard normal distribution cut at 2 is 0.8796.
    assert float(weights.std()) == pytest.approx(0.8796 * config.initializer_range, rel=0.01)
    layer = BertForPretraining(config).encoder.layers[0]
    assert float(layer.feed_forward.expand.bias.detach().abs().max()) == 0


def test_the_untrained_model_predicts_tokens_by_their_frequency() -> None:
    torch.manual_seed(0)
    config = BertConfig(vocab_size=6, hidden_size=64, num_hidden_layers=1, num_attention_heads=1)
    model = BertForPretraining(config).eval()
    model.masked_tokens.start_from_counts(np.array([0, 10, 989, 100_000]))
    logits = model.masked_logits(torch.zeros(1, 64))[0].detach()
    # One is added to every count, so that no token is impossible.
    expected = torch.tensor([1, 11, 990, 100_001, 1, 1]) / 101_005
    torch.testing.assert_close(logits.softmax(0), expected)


def test_dropout_acts_in_training_only(small_config: BertConfig) -> None:
    torch.manual_seed(0)
    model = BertForPretraining(small_config)
    tokens = torch.randint(5, small_config.vocab_size, (2, 9))
    numbers = torch.zeros_like(tokens)
    assert not torch.equal(_encode(model.train(), tokens, numbers), _encode(model, tokens, numbers))
    assert torch.equal(_encode(model.eval(), tokens, numbers), _encode(model, tokens, numbers))


def _encode(model: BertForPretraining, tokens: Tensor, example_numbers: Tensor) -> Tensor:
    vectors: Tensor = model.encoder(
        tokens, torch.zeros_like(tokens), _positions(example_numbers), block_attention_mask(example_numbers)
    )
    return vectors


def _positions(example_numbers: Tensor) -> Tensor:
    rows = [[row[: i + 1].count(n) - 1 for i, n in enumerate(row)] for row in example_numbers.tolist()]
    return torch.tensor(rows)
