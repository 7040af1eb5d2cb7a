"""Which tokens are hidden, and what stands in their place: BERT's masked language model."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MASK_SHARE = 0.8
_KEEP_SHARE = 0.1


@dataclass(frozen=True)
class MaskedTokens:
    """An example after masking; `targets[i]` stood at `positions[i]`, which rise."""

    token_ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    targets: NDArray[np.int64]


def num_predictions(length: int, probability: float, max_predictions: int) -> int:
    """How many tokens are hidden in an example of `length` tokens, [CLS] and [SEP] counted."""
    return min(max_predictions, max(1, round(length * probability)))


def mask_tokens(
    token_ids: NDArray[np.int64],
    candidates: NDArray[np.int64],
    count: int,
    *,
    mask_id: int,
    vocabulary_size: int,
    random: np.random.Generator,
) -> MaskedTokens:
    """Hides `count` of the candidate positions, fewer if there are fewer.

    Of the hidden tokens 80 % become [MASK], 10 % stay, and 10 % become a token drawn uniformly from the whole
    vocabulary, special tokens included (google-research/bert, `create_masked_lm_predictions`).

    Args:
        token_ids: the example, [length].
        candidates: positions that may be hidden.
    """
    positions = np.sort(random.permutation(candidates)[:count])
    targets = token_ids[positions]
    fate = random.random(len(positions))
    replacements = np.where(
        fate < _MASK_SHARE,
        mask_id,
        np.where(
            fate < _MASK_SHARE + _KEEP_SHARE,
            targets,
            random.integers(vocabulary_size, size=len(positions)),
        ),
    )
    masked = token_ids.copy()
    masked[positions] = replacements
    return MaskedTokens(masked, positions, targets)
