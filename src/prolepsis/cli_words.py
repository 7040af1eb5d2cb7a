"""`kedro words`: what the trained word vectors know of a word."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click
from kedro.framework.cli.utils import env_option
from kedro.framework.session import KedroSession
from kedro.framework.startup import ProjectMetadata
from rich.console import Console
from rich.table import Table

from prolepsis.cli_messages import told

if TYPE_CHECKING:
    from prolepsis.text.word2vec.vectors import WordVectors

_VECTORS = "word_vectors"

Found = list[tuple[str, float]]

_count = click.option(
    "--count", "-n", type=click.IntRange(min=1), default=10, show_default=True, help="How many words to list."
)


@click.group()
def words() -> None:
    """What the trained word vectors know of a word."""


@words.command("nearest")
@click.argument("word")
@_count
@env_option
@click.pass_obj
@told
def show_nearest(metadata: ProjectMetadata, word: str, count: int, env: str | None) -> None:
    """List the words whose vectors lie nearest to that of WORD, by cosine."""
    _answer(metadata, env, f"Nearest to {word}", lambda vectors: vectors.neighbours(word, count))


@words.command("analogy")
@click.argument("b")
@click.argument("a")
@click.argument("c")
@_count
@env_option
@click.pass_obj
@told
def show_analogy(metadata: ProjectMetadata, b: str, a: str, c: str, count: int, env: str | None) -> None:
    """A is to B as C is to which word? Lists the words nearest to B - A + C.

    `kedro words analogy king man woman` asks: man is to king as woman is to …? So the first word and the last
    are added, and the one between is taken away: king - man + woman. None of the three is an answer.
    """
    _answer(
        metadata,
        env,
        f"{a} is to {b} as {c} is to …  ({b} - {a} + {c})",
        lambda vectors: vectors.analogies(a, b, c, count),
    )


def _answer(
    metadata: ProjectMetadata, env: str | None, title: str, find: Callable[["WordVectors"], Found]
) -> None:
    vectors = _load(metadata, env)
    found = find(vectors)
    click.secho(title, bold=True)
    Console().print(_table(vectors, found))


def _load(metadata: ProjectMetadata, env: str | None) -> "WordVectors":
    session = KedroSession.create(metadata.project_path, env=env, save_on_close=False)
    # Not `catalog.load`, which would write a log line above the answer.
    vectors: WordVectors = session.load_context().catalog[_VECTORS].load()
    return vectors


def _table(vectors: "WordVectors", found: Found) -> Table:
    """A row for each word, nearest first; languages are shown where the corpus names any."""
    rows = [vectors.rows[word] for word, _ in found]
    has_languages = any(vectors.languages[row] for row in rows)
    table = Table()
    table.add_column("word")
    table.add_column("cosine", justify="right")
    table.add_column("occurrences", justify="right")
    if has_languages:
        table.add_column("language")
    for row, (word, cosine) in zip(rows, found, strict=True):
        language = [vectors.languages[row] or "–"] if has_languages else []
        table.add_row(word, f"{cosine:.3f}", f"{vectors.counts[row]:,}", *language)
    return table
