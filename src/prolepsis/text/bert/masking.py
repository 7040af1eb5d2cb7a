"""Which tokens are hidden, and what stands in their place."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from prolepsis.text.tokenizers import Tokenizer

_MASK_SHARE = 0.8
_KEEP_SHARE = 0.1

CONTINUATION = "##"
"""How `Tokenizer.words` marks a token that continues a word."""


@dataclass(frozen=True)
class MaskedTokens:
    """An example after masking; `targets[i]` stood at `positions[i]`, which rise unless said otherwise."""

    token_ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    targets: NDArray[np.int64]


def num_predictions(length: int, probability: float, max_predictions: int | None = None) -> int:
    """How many tokens are hidden in an example of `length` tokens, [CLS] and [SEP] counted, at least one."""
    count = max(1, round(length * probability))
    return count if max_predictions is None else min(max_predictions, count)


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

    Follows google-research/bert, `create_masked_lm_predictions`.

    Args:
        token_ids: the example, [length].
        candidates: positions that may be hidden.
    """
    positions = np.sort(random.permutation(candidates)[:count])
    return hide(token_ids, positions, mask_id=mask_id, vocabulary_size=vocabulary_size, random=random)


def mask_words(
    token_ids: NDArray[np.int64],
    words: Sequence[NDArray[np.int64]],
    count: int,
    *,
    mask_id: int,
    vocabulary_size: int,
    random: np.random.Generator,
) -> MaskedTokens:
    """Hides whole words in random order, and passes over those that would make it more than `count` tokens.

    Each token of a word meets its own fate (google-research/bert, `do_whole_word_mask`).

    Args:
        words: the positions of each word that may be hidden.
    """
    chosen: list[NDArray[np.int64]] = []
    room = count
    for number in random.permutation(len(words)):
        if len(words[number]) <= room:
            chosen.append(words[number])
            room -= len(words[number])
        if not room:
            break
    positions = np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, np.int64)
    return hide(token_ids, positions, mask_id=mask_id, vocabulary_size=vocabulary_size, random=random)


def hide(
    token_ids: NDArray[np.int64],
    positions: NDArray[np.int64],
    *,
    mask_id: int,
    vocabulary_size: int,
    random: np.random.Generator,
) -> MaskedTokens:
    """Of the tokens at `positions`, 80 % become [MASK], 10 % stay, 10 % become a random token.

    It is drawn uniformly from the whole vocabulary, special tokens included, as in google-research/bert.
    """
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


def continues_word(tokenizer: Tokenizer) -> NDArray[np.bool_]:
    """For each id, whether it continues the word of the token before it, bool [vocabulary_size]."""
    return np.array([word.startswith(CONTINUATION) for word in tokenizer.words()])


def group_words(
    token_ids: NDArray[np.int64], is_candidate: NDArray[np.bool_], continues: NDArray[np.bool_]
) -> list[NDArray[np.int64]]:
    """The positions of each word; what is no candidate, such as [SEP], belongs to none and ends one.

    A `##` piece that begins a segment, whose front was cut off, is a word of its own. In google-research/bert
    and albert it joins the last word before the [SEP], a word of another segment.

    Args:
        token_ids, is_candidate: of the example, [length].
        continues: of `continues_word`.
    """
    positions = np.flatnonzero(is_candidate)
    if not len(positions):
        return []
    begins = ~continues[token_ids[positions]]
    begins[0] = True
    begins[1:] |= np.diff(positions) > 1
    bounds = [*np.flatnonzero(begins).tolist(), len(positions)]
    return [positions[start:stop] for start, stop in pairwise(bounds)]
