import pytest
import torch
from pydantic import ValidationError
from torch import nn

from prolepsis.action.detectors.rnn import RNN


@pytest.mark.parametrize(
    ("cell", "reference"), [("rnn", nn.RNNCell), ("lstm", nn.LSTMCell), ("gru", nn.GRUCell)]
)
def test_it_is_torchs_own_cell_followed_by_a_linear_layer(cell: str, reference: type[nn.Module]) -> None:
    torch.manual_seed(0)
    detector = RNN(RNN.Config(cell=cell, hidden_size=5), input_size=3, num_classes=4).eval()
    plain = reference(3, 5)
    plain.load_state_dict(
        {name.removesuffix("_l0"): tensor for name, tensor in detector.cell.state_dict().items()}
    )
    features = torch.randn(2, 6, 3)
    state, expected = None, []
    for feature in features.unbind(1):
        state = plain(feature, state)
        hidden = state[0] if isinstance(state, tuple) else state
        expected.append(hidden @ detector.classifier.weight.T + detector.classifier.bias)
    scores = detector(features, torch.ones(2, 6, dtype=torch.bool)).scores
    torch.testing.assert_close(scores, torch.stack(expected, 1))


def test_an_unknown_cell_is_refused() -> None:
    with pytest.raises(ValidationError, match="cell"):
        RNN.Config(cell="transformer")
