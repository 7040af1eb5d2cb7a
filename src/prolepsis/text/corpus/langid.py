"""py3langid's answers, bit for bit, for many texts at once in a quarter of the time.

py3langid (Barbaresi, after Lui & Baldwin 2012) walks an automaton over the bytes of a text, counts the
features on the way, and adds their rows of a table: naive Bayes. The walk takes most of its time; here it is
compiled.
"""

import math
import unicodedata
from functools import cache

import numba
import numpy as np
import numpy.typing as npt

_TEXTS_AT_ONCE = 256

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]


class LanguageClassifier:
    """py3langid's default model with normalised probabilities."""

    def __init__(self) -> None:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        self._languages: list[str] = model.nb_classes
        self._next_state = np.asarray(model.tk_nextmove, dtype=np.uint32)
        self._row = np.asarray(model.tk_row, dtype=np.int32)
        self._feature = np.asarray(model.tk_output, dtype=np.int32)
        # The table is stored in half precision and computed with in single precision.
        self._table: Floats = model.nb_ptc.astype(np.float32)
        self._prior: Floats = model.nb_pc
        first = {language: index for index, language in reversed(list(enumerate(self._languages)))}
        self._doubles = [
            (first[language], index)
            for index, language in enumerate(self._languages)
            if first[language] != index
        ]

    @property
    def languages(self) -> list[str]:
        """The codes (mostly ISO 639-1) of all languages of the model."""
        return sorted(set(self._languages))

    def classify(self, texts: list[str]) -> list[tuple[str, float]]:
        """The most likely language of each text and its probability among all of the model."""
        found: list[tuple[str, float]] = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            found += self._classify(texts[start : start + _TEXTS_AT_ONCE])
        return found

    def _classify(self, texts: list[str]) -> list[tuple[str, float]]:
        encoded = [_encoded(text) for text in texts]
        data = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        lengths = np.array([len(text) for text in encoded])
        features, counts, ends = _count_features(
            data, np.cumsum(lengths), self._next_state, self._row, self._feature, len(self._table)
        )
        weights = np.log1p(counts)
        scores = np.zeros((len(texts), len(self._languages)), np.float32)
        start = 0
        for text, end in enumerate(ends):
            if end > start:  # a text without a feature is as likely in all languages
                scores[text] = weights[start:end] @ self._table[features[start:end]] + self._prior
            start = end
        return self._decided(scores, lengths)

    def _decided(self, scores: Floats, lengths: npt.NDArray[np.int64]) -> list[tuple[str, float]]:
        scores *= np.array([1 / math.sqrt(length or 1) for length in lengths], np.float32)[:, None]
        np.exp(scores - scores.max(axis=1, keepdims=True), out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        for first, double in self._doubles:  # Serbian in two scripts is one language
            scores[:, first] += scores[:, double]
            scores[:, double] = 0
        best = scores.argmax(axis=1)
        confidence = scores[np.arange(len(scores)), best].tolist()
        return [(self._languages[index], score) for index, score in zip(best, confidence, strict=True)]


@cache
def classifier() -> LanguageClassifier:
    """The one of this process: its model takes 130 MB and most of a second to load."""
    return LanguageClassifier()


def _encoded(text: str) -> bytes:
    if text.isupper():
        text = text.lower()
    return unicodedata.normalize("NFC", text).encode()


@numba.njit(cache=True)
def _count_features(
    data: npt.NDArray[np.uint8],
    text_ends: npt.NDArray[np.int64],
    next_state: npt.NDArray[np.uint32],
    row: Ints,
    feature_of: Ints,
    num_features: int,
) -> tuple[Ints, Floats, npt.NDArray[np.int64]]:
    """Walks the automaton over each text.

    Returns:
        The features of all texts one after the other, in the order in which they are first passed; how often
        each is passed; and where each text's features end.
    """
    features = np.empty(len(data), np.int32)
    counts = np.empty(len(data), np.float32)
    ends = np.empty(len(text_ends), np.int64)
    place = np.full(num_features, -1, np.int64)
    used = 0
    start = 0
    for text in range(len(text_ends)):
        first = used
        state = np.int64(0)
        for position in range(start, text_ends[text]):
            state = np.int64(next_state[(row[state] << 8) + data[position]])
            feature = feature_of[state]
            if feature < 0:
                continue
            if place[feature] < 0:
                place[feature] = used
                features[used] = feature
                counts[used] = 1
                used += 1
            else:
                counts[place[feature]] += 1
        for index in range(first, used):
            place[features[index]] = -1
        ends[text] = used
        start = text_ends[text]
    return features[:used], counts[:used], ends
