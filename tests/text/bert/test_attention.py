import pytest
import torch
from torch import Tensor

from prolepsis.text.bert.attention import (
    Attention,
    block_attention_mask,
    example_mask,
    flex_mask,
    rotary_phases,
    rotate,
)
from prolepsis.training.attention import additive

WIDTH, HEADS = 32, 2
NUMBERS = torch.tensor([[0, 0, 0, 1, 1, -1, -1, -1], [0, 0, 1, 1, 1, 2, 2, -1]])


@pytest.fixture
def attention() -> Attention:
    torch.manual_seed(0)
    return Attention(WIDTH, HEADS, 0.0).eval()


@pytest.fixture
def hidden() -> Tensor:
    return torch.randn(2, 8, WIDTH, generator=torch.Generator().manual_seed(1))


def test_it_is_the_attention_of_the_paper(attention: Attention, hidden: Tensor) -> None:
    query, key, value = attention.query_key_value(hidden).chunk(3, dim=-1)
    heads = []
    for head in range(HEADS):
        part = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
        scores = query[..., part] @ key[..., part].transpose(1, 2) / (WIDTH / HEADS) ** 0.5
        heads.append(scores.softmax(-1) @ value[..., part])
    expected = attention.output(torch.cat(heads, dim=-1))
    torch.testing.assert_close(attention(hidden, None), expected)


def test_the_mask_keeps_examples_apart_and_a_causal_one_the_future_too() -> None:
    mask = block_attention_mask(NUMBERS)[0, 0]
    assert mask.int().tolist() == [[int(a == b) for b in NUMBERS[0]] for a in NUMBERS[0]]
    causal = block_attention_mask(NUMBERS, causal=True)[0, 0]
    assert torch.equal(causal, mask.tril())
    across = block_attention_mask(NUMBERS[:, :3], NUMBERS)[1, 0]
    assert across.int().tolist() == [[int(a == b) for b in NUMBERS[1]] for a in NUMBERS[1, :3]]


def test_every_way_of_computing_it_gives_the_same(attention: Attention, hidden: Tensor) -> None:
    attention.requires_grad_(False)  # on a CPU FlexAttention knows no gradients
    expected = attention(hidden, block_attention_mask(NUMBERS))
    ways = {
        "added to the scores": attention(hidden, additive(block_attention_mask(NUMBERS))),
        "chosen for the device": attention(hidden, example_mask(NUMBERS, 0.0)),
        "FlexAttention": attention(hidden, flex_mask(NUMBERS)),
    }
    # While training in bfloat16 the steps are taken one by one on a CPU.
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = attention.train()(hidden, example_mask(NUMBERS, 0.0))
    for name, result in ways.items():
        torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5, msg=name)
    torch.testing.assert_close(rounded.float(), expected, rtol=0.05, atol=0.02)


def test_gradients_are_the_same_fused_and_step_by_step(attention: Attention, hidden: Tensor) -> None:
    def gradients() -> list[Tensor]:
        attention.zero_grad()
        attention(hidden, example_mask(NUMBERS, 0.0)).square().sum().backward()
        return [parameter.grad.clone() for parameter in attention.parameters() if parameter.grad is not None]

    fused = gradients()
    attention.train().dropout_probability = 1e-9  # rounds to none, and takes the way of all others
    assert len(fused) == 4
    for in_steps, expected in zip(gradients(), fused, strict=True):
        torch.testing.assert_close(in_steps, expected, rtol=1e-4, atol=1e-5)


def test_weights_are_dropped_in_training_only(hidden: Tensor) -> None:
    torch.manual_seed(0)
    attention = Attention(WIDTH, HEADS, 0.5)
    mask = example_mask(NUMBERS, 0.5)
    assert not torch.equal(attention(hidden, mask), attention(hidden, mask))
    attention.eval()
    kept = attention(hidden, mask)
    assert torch.equal(kept, attention(hidden, mask))
    # Dropping weights out changes no expectation.
    attention.train()
    mean = torch.stack([attention(hidden, mask) for _ in range(2000)]).mean(0)
    torch.testing.assert_close(mean, kept, rtol=0, atol=0.06)


def test_rotary_scores_depend_on_distances_alone() -> None:
    size = 16
    query, key = torch.randn(2, 1, 1, 1, size, generator=torch.Generator().manual_seed(2))

    def score(query_position: int, key_position: int) -> float:
        turned = [
            rotate(vector, rotary_phases(torch.tensor([[position]]), size, 10_000.0))
            for vector, position in ((query, query_position), (key, key_position))
        ]
        return float((turned[0] * turned[1]).sum())

    assert score(3, 7) == pytest.approx(score(103, 107), abs=1e-4)
    assert score(3, 7) != pytest.approx(score(3, 8), abs=1e-3)
    assert score(0, 0) == pytest.approx(float((query * key).sum()), abs=1e-5)


def test_rotary_phases_are_those_of_the_paper() -> None:
    phases = rotary_phases(torch.tensor([[0, 5]]), 8, 10_000.0)
    assert phases.shape == (1, 1, 2, 4)
    angles = [5 * 10_000 ** (-2 * i / 8) for i in range(4)]
    torch.testing.assert_close(
        phases[0, 0, 1].angle().remainder(2 * torch.pi), torch.tensor(angles).remainder(2 * torch.pi)
    )
    assert phases[0, 0, 0].tolist() == [1.0] * 4
    # Neighbours are a pair: at the first angle, one radian per position.
    turned = rotate(torch.tensor([1.0, 0, 0, 0]), rotary_phases(torch.tensor([[1]]), 4, 10_000.0))
    torch.testing.assert_close(turned.flatten(), torch.tensor([0.5403023, 0.8414710, 0, 0]))
