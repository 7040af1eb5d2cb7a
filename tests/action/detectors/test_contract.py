"""What every detector owes: the stream equals the batch, the past does not see the future, states travel."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from prolepsis import plugins
from prolepsis.action.detectors.base import Detector, WindowBatch
from prolepsis.action.standardisation import FeatureMoments, StandardisedDetector

INPUT_SIZE, NUM_CLASSES = 6, 5
SMALL_TRN = {"hidden_size": 8, "feature_size": 7, "decoder_steps": 3, "linear_std": 0.3}
SMALL_OADTR = {
    "window_steps": 5,
    "hidden_size": 8,
    "encoder_layers": 2,
    "encoder_heads": 2,
    "decoder_steps": 3,
    "decoder_layers": 2,
    "decoder_heads": 4,
}
SMALL_IDN = {"window_steps": 5, "embedding_size": 6, "hidden_size": 7}
SMALL_MINIROAD = {"embedding_size": 9, "hidden_size": 7, "window_steps": 4}
SMALL_TESTRA = {
    "work_steps": 4,
    "memory_steps": 6,
    "decay": 0.8,
    "hidden_size": 8,
    "num_heads": 2,
    "feed_forward_size": 9,
    "memory_queries": 3,
    "encoder_queries": 4,
    "anticipation_steps": 2,
}
CASES = {
    "frame_only": ("frame_only", {}),
    "rnn": ("rnn", {"cell": "rnn", "hidden_size": 7}),
    "lstm": ("rnn", {"cell": "lstm", "hidden_size": 7, "num_layers": 2}),
    "gru": ("rnn", {"cell": "gru", "hidden_size": 7, "projection_size": 4}),
    "trn": ("trn", SMALL_TRN),
    "trn_current": ("trn", SMALL_TRN | {"decoder_targets": "current"}),
    "trn_one_step": ("trn", SMALL_TRN | {"decoder_steps": 1}),
    "idn": ("idn", SMALL_IDN),
    "idn_bias": ("idn", SMALL_IDN | {"use_bias": True, "gate_activation": "sigmoid"}),
    "miniroad": ("miniroad", SMALL_MINIROAD),
    "miniroad_ambiguous": ("miniroad", SMALL_MINIROAD | {"ambiguous_class": True}),
    "oadtr": ("oadtr", SMALL_OADTR),
    "oadtr_positions": ("oadtr", SMALL_OADTR | {"decoder_positions": True}),
    "oadtr_continual_1": ("oadtr", SMALL_OADTR | {"continual": True, "encoder_layers": 1}),
    "oadtr_continual_2": ("oadtr", SMALL_OADTR | {"continual": True}),
    "testra": ("testra", SMALL_TESTRA | {"decoder_rereads_work": False}),
    "testra_rereads": ("testra", SMALL_TESTRA | {"decoder_rereads_work": True}),
    "testra_now": ("testra", SMALL_TESTRA | {"anticipation_steps": 0, "decay": 1.0}),
}
AHEAD = {
    "trn": 3,
    "trn_current": 2,
    "trn_one_step": 1,
    "oadtr": 3,
    "oadtr_positions": 3,
    "testra": 2,
    "testra_rereads": 2,
}

Make = Callable[[], Detector]


def make(case: str) -> Detector:
    plugin, config = CASES[case]
    torch.manual_seed(len(case))
    detector: Detector = plugins.load("prolepsis.action_detectors", plugin)(
        plugins.configure("prolepsis.action_detectors", plugin, config),
        input_size=INPUT_SIZE,
        num_classes=NUM_CLASSES,
    )
    # Parameters that start at zero would hide what they do.
    for parameter in detector.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter)
    return detector.eval()


def stream(detector: Detector, features: Tensor) -> tuple[Tensor, Tensor | None]:
    state = detector.initial_state(len(features))
    scores, ahead = [], []
    for feature in features.unbind(1):
        step_scores, step_ahead, state = detector.step(feature, state)
        scores.append(step_scores)
        ahead.append(step_ahead)
    return torch.stack(scores, 1), None if ahead[0] is None else torch.stack(ahead, 1)


def whole(batch: int, steps: int) -> Tensor:
    return torch.ones(batch, steps, dtype=torch.bool)


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.integers(1, 17), min_size=1, max_size=4), seed=st.integers(0, 2**31))
def test_the_stream_equals_the_batch(case: str, lengths: list[int], seed: int) -> None:
    detector = make(case)
    features = torch.randn(
        len(lengths), max(lengths), INPUT_SIZE, generator=torch.Generator().manual_seed(seed)
    )
    mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    with torch.no_grad():
        output = detector(features, mask)
        scores, ahead = stream(detector, features)
    torch.testing.assert_close(output.scores[mask], scores[mask], atol=1e-5, rtol=1e-5)
    if ahead is None:
        assert output.anticipation is None
    else:
        torch.testing.assert_close(output.anticipation[mask], ahead[mask], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=5, deadline=None)
@given(
    lengths=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=3), min_size=1, max_size=3),
    seed=st.integers(0, 2**31),
)
def test_a_stream_can_begin_anew_while_others_go_on(case: str, lengths: list[list[int]], seed: int) -> None:
    """Each row plays several videos, one after the other; where one ends, its row of the state is reset."""
    detector = make(case)
    steps = max(sum(row) for row in lengths)
    features = torch.randn(len(lengths), steps, INPUT_SIZE, generator=torch.Generator().manual_seed(seed))
    begins = torch.zeros(len(lengths), steps, dtype=torch.bool)
    for row, parts in enumerate(lengths):
        begins[row, [sum(parts[:number]) for number in range(len(parts))]] = True
    fresh = detector.initial_state(len(lengths))
    state, streamed = fresh, []
    with torch.no_grad():
        for step, feature in enumerate(features.unbind(1)):
            state = {
                name: torch.where(begins[:, step].view(-1, *[1] * (part.dim() - 1)), fresh[name], part)
                for name, part in state.items()
            }
            scores, _, state = detector.step(feature, state)
            streamed.append(scores)
        for row, parts in enumerate(lengths):
            start = 0
            for length in parts:
                alone = detector(features[row : row + 1, start : start + length], whole(1, length)).scores[0]
                found = torch.stack(streamed, 1)[row, start : start + length]
                torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-5)
                start += length


@pytest.mark.parametrize("case", CASES)
def test_outputs_have_the_promised_shapes_and_zeros_where_no_step_exists(case: str) -> None:
    detector = make(case)
    mask = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    output = detector(torch.randn(2, 7, INPUT_SIZE), mask)
    assert output.scores.shape == (2, 7, NUM_CLASSES)
    assert not output.scores[~mask].any()
    assert output.scores[mask].any(dim=1).all()
    if AHEAD.get(case, 0) == 0:
        assert output.anticipation is None
    else:
        assert output.anticipation.shape == (2, 7, AHEAD[case], NUM_CLASSES)
        assert not output.anticipation[~mask].any()


@pytest.mark.parametrize("case", CASES)
def test_padding_changes_nothing(case: str) -> None:
    detector = make(case)
    features = torch.randn(2, 9, INPUT_SIZE)
    mask = torch.arange(9) < torch.tensor([9, 4]).unsqueeze(1)
    loud = torch.where(mask.unsqueeze(-1), features, 1e4)
    torch.testing.assert_close(detector(features, mask).scores, detector(loud, mask).scores)


@pytest.mark.parametrize("case", CASES)
def test_the_past_does_not_see_the_future(case: str) -> None:
    detector = make(case)
    features = torch.randn(1, 10, INPUT_SIZE)
    changed = features.clone()
    changed[:, 6:] += 5.0
    before, after = detector(features, whole(1, 10)), detector(changed, whole(1, 10))
    torch.testing.assert_close(before.scores[:, :6], after.scores[:, :6])
    assert not torch.allclose(before.scores[:, 6:], after.scores[:, 6:])


@pytest.mark.parametrize("case", CASES)
def test_a_state_keeps_its_size_and_goes_through_a_file(case: str, tmp_path: Path) -> None:
    detector = make(case)
    features = torch.randn(3, 12, INPUT_SIZE)
    state = detector.initial_state(3)
    sizes = {name: part.shape for name, part in state.items()}
    for feature in features[:, :8].unbind(1):
        state = detector.step(feature, state).state
    assert {name: part.shape for name, part in state.items()} == sizes
    assert all(part.shape[0] == 3 for part in state.values())
    save_file({name: part.detach().contiguous() for name, part in state.items()}, tmp_path / "state")
    restored = load_file(tmp_path / "state")
    torch.testing.assert_close(
        detector.step(features[:, 8], restored).scores, detector.step(features[:, 8], state).scores
    )


@pytest.mark.parametrize("case", CASES)
def test_a_step_leaves_the_state_it_was_given_as_it_was(case: str) -> None:
    detector = make(case)
    state = detector.step(torch.randn(2, INPUT_SIZE), detector.initial_state(2)).state
    copy = {name: part.clone() for name, part in state.items()}
    detector.step(torch.randn(2, INPUT_SIZE), state)
    assert all(torch.equal(state[name], copy[name]) for name in state)


@pytest.mark.parametrize("case", CASES)
def test_standardisation_stands_before_the_detector_in_batch_and_stream(case: str) -> None:
    detector = make(case)
    moments = FeatureMoments(torch.randn(INPUT_SIZE), torch.rand(INPUT_SIZE) + 0.5)
    standardised = StandardisedDetector(detector, moments).eval()
    features = torch.randn(2, 7, INPUT_SIZE)
    expected = detector((features - moments.mean) / moments.deviation, whole(2, 7)).scores
    torch.testing.assert_close(standardised(features, whole(2, 7)).scores, expected)
    torch.testing.assert_close(stream(standardised, features)[0], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_half_precision_on_the_way_gives_nearly_the_same_scores(case: str) -> None:
    detector = make(case)
    features = torch.randn(2, 6, INPUT_SIZE)
    exact = detector(features, whole(2, 6)).scores
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = detector(features, whole(2, 6)).scores
    torch.testing.assert_close(rough.float(), exact, atol=0.15, rtol=0.05)


@pytest.mark.parametrize("case", CASES)
def test_half_precision_learns_nearly_the_same(case: str) -> None:
    detector = make(case)
    steps = detector.context + 4
    labels = torch.randint(NUM_CLASSES, (3, steps + detector.horizon))
    batch = WindowBatch(
        torch.randn(3, steps, INPUT_SIZE),
        whole(3, steps),
        torch.nn.functional.one_hot(labels, NUM_CLASSES).float(),
        whole(3, steps + detector.horizon),
        (torch.arange(steps) >= detector.context).expand(3, -1),
    )
    losses, gradients = [], []
    for enabled in (False, True):
        detector.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            loss, _ = detector.loss(batch)
        loss.backward()
        losses.append(loss.detach())
        gradients.append(torch.cat([p.grad.flatten() for p in detector.parameters() if p.grad is not None]))
    torch.testing.assert_close(losses[1], losses[0], atol=0.02, rtol=0.01)
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.99
