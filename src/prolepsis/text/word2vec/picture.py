"""Word vectors as a map."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from prolepsis.errors import ProlepsisError
from prolepsis.text.word2vec.evaluation import principal_plane
from prolepsis.text.word2vec.vectors import WordVectors

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_logger = logging.getLogger(__name__)


def require_vectors(vectors: WordVectors, words: Sequence[str]) -> list[str]:
    """Those of the words that have a vector, each once; a warning names the others.

    Raises:
        ProlepsisError: fewer than two have one, which makes no map.
    """
    known = [word for word in dict.fromkeys(words) if word in vectors.rows]
    missing = ", ".join(word for word in dict.fromkeys(words) if word not in vectors.rows)
    if len(known) < 2:
        raise ProlepsisError(
            f"Of the words for the map fewer than two have a vector; without one: {missing or 'none'}.",
            where="word2vec.picture.words",
            remedy="Name words of the vocabulary ('kedro words nearest WORD' finds the spelling), "
            "or set it to null for the most frequent ones.",
        )
    if missing:
        _logger.warning("Words without a vector are not on the map: %s.", missing)
    return known


def draw_words(vectors: WordVectors, words: list[str]) -> "Figure":
    """Words in the plane of their two principal components, coloured by language."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 8), layout="constrained")
    axes = figure.add_subplot()
    points = principal_plane(vectors, words)
    languages = [vectors.languages[vectors.rows[word]] for word in words]
    for number, language in enumerate(sorted(set(languages), key=str)):
        colour = colormaps["tab10"](number % 10)
        own = [i for i, other in enumerate(languages) if other == language]
        axes.scatter(points[own, 0], points[own, 1], s=12, color=colour, label=language or "unknown language")
        for i in own:
            axes.annotate(
                words[i],
                points[i],
                xytext=(3, 2),
                textcoords="offset points",
                fontsize=8,
                color=colour,
                parse_math=False,
            )
    axes.legend(title="most frequent in")
    axes.set(xlabel="first principal component", ylabel="second principal component")
    axes.set_title(f"{len(words)} words, by their vectors")
    axes.margins(0.08)
    return figure
