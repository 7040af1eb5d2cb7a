import numpy as np
import pytest
import torch

from prolepsis.action.detectors.oadtr import OadTR
from prolepsis.action.detectors.rnn import RNN
from prolepsis.action.scoring import score_videos
from prolepsis.errors import ProlepsisError

CPU = torch.device("cpu")


def features_of(lengths: dict[str, int]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {name: random.normal(size=(length, 4)).astype(np.float16) for name, length in lengths.items()}


@pytest.mark.parametrize(("limit", "number"), [("_STEPS_AT_ONCE", 30), ("_VALUES_AT_ONCE", 120)])
def test_videos_scored_together_get_what_each_gets_alone(
    limit: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"prolepsis.action.scoring.{limit}", number)
    torch.manual_seed(0)
    config = OadTR.Config(window_steps=3, hidden_size=8, encoder_heads=2, decoder_steps=2, decoder_heads=2)
    detector = OadTR(config, input_size=4, num_classes=3).eval()
    features = features_of({"a": 9, "b": 1, "c": 14, "d": 12})
    shapes = []
    detector.register_forward_pre_hook(lambda _, inputs: shapes.append(tuple(inputs[0].shape[:2])))
    scored = {one.video: one for one in score_videos(detector, features, features, CPU)}
    assert scored.keys() == features.keys()
    assert shapes == [(2, 9), (2, 14)]
    for name, values in features.items():
        alone = torch.from_numpy(values.astype(np.float32)).unsqueeze(0)
        with torch.no_grad():
            output = detector(alone, torch.ones(1, len(values), dtype=torch.bool))
        np.testing.assert_allclose(scored[name].scores, output.scores[0].softmax(-1), atol=1e-5)
        np.testing.assert_allclose(scored[name].anticipation, output.anticipation[0].softmax(-1), atol=1e-5)


def test_scores_are_probabilities_of_a_detector_without_dropout() -> None:
    detector = RNN(RNN.Config(hidden_size=4, dropout=0.9), input_size=4, num_classes=3).train()
    features = features_of({"a": 20})
    [first] = score_videos(detector, features, ["a"], CPU)
    [second] = score_videos(detector, features, ["a"], CPU)
    np.testing.assert_allclose(first.scores.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(first.scores, second.scores)
    assert first.anticipation is None


def test_no_video_gives_no_scores() -> None:
    detector = RNN(RNN.Config(hidden_size=4), input_size=4, num_classes=3)
    assert list(score_videos(detector, {}, [], CPU)) == []


def test_features_of_another_encoder_are_refused() -> None:
    detector = RNN(RNN.Config(hidden_size=4), input_size=5, num_classes=3)
    features = features_of({"a": 3})
    with pytest.raises(ProlepsisError, match="length 5, and these have 4"):
        list(score_videos(detector, features, features, CPU))
