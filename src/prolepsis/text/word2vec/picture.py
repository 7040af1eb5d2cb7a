"""Word vectors as a map."""

from typing import TYPE_CHECKING

from prolepsis.text.word2vec.evaluation import principal_plane
from prolepsis.text.word2vec.vectors import WordVectors

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    axes.set_title(f"{len(words)} frequent words, by their vectors")
    axes.margins(0.08)
    return figure
