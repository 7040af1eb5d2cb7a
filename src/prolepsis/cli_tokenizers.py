"""`kedro tokenizers`: how the trained tokenizers split a sentence."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
from kedro.framework.cli.utils import env_option
from kedro.framework.session import KedroSession
from kedro.framework.startup import ProjectMetadata
from rich.console import Console
from rich.text import Text

from prolepsis.cli_messages import told
from prolepsis.errors import ProlepsisError

if TYPE_CHECKING:
    from prolepsis.text.tokenizers import Tokenizer

_FOLDER = Path("06_models") / "tokenizers"
_COLOURS = (
    "black on bright_cyan",
    "black on bright_yellow",
    "black on bright_green",
    "black on bright_magenta",
)
_SPECIAL = "white on red"


@click.group()
def tokenizers() -> None:
    """What the trained tokenizers make of text."""


@tokenizers.command("show")
@click.argument("text")
@click.option("--tokenizer", "-t", "names", multiple=True, help="Only this one; may be given several times.")
@env_option
@click.pass_obj
@told
def show_tokenizers(metadata: ProjectMetadata, text: str, names: tuple[str, ...], env: str | None) -> None:
    """Show how each trained tokenizer splits TEXT: its tokens, their ids, and how many there are."""
    _refuse_what_is_no_text(text)
    chosen = _load(_folder(metadata.project_path, env), names)
    console = Console()
    for name, tokenizer in chosen.items():
        _show(console, name, tokenizer, text)


def _refuse_what_is_no_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ProlepsisError("The text is not UTF-8.", where="TEXT") from error


def _folder(project: Path, env: str | None) -> Path:
    context = KedroSession.create(project, env=env, save_on_close=False).load_context()
    return project / str(context.config_loader["globals"]["data"]) / _FOLDER


def _load(folder: Path, names: tuple[str, ...]) -> Mapping[str, "Tokenizer"]:
    from prolepsis.plugins import offer
    from prolepsis.text.tokenizers import Tokenizer
    from prolepsis.text.tokenizers.tokenizer import TOKENIZER_FILE

    trained = sorted(path.parent.name for path in folder.glob(f"*/{TOKENIZER_FILE}"))
    if not trained:
        raise ProlepsisError(
            "No tokenizer has been trained.", where=folder, remedy="Run 'kedro run --pipelines tokenization'."
        )
    for name in names:
        if name not in trained:
            raise ProlepsisError(
                f"There is no trained tokenizer {name!r}.", where=folder, remedy=offer(name, trained)
            )
    return {name: Tokenizer.load(folder / name) for name in names or trained}


def _show(console: Console, name: str, tokenizer: "Tokenizer", text: str) -> None:
    ids = tokenizer.encode_batch([text])[0].tolist()
    words = tokenizer.words()
    pieces = [words[number] for number in ids]
    count = f"{len(ids)} {'token' if len(ids) == 1 else 'tokens'}"
    console.print(
        Text.assemble((name, "bold"), f"  {count}, {len(text)} characters, {tokenizer.vocabulary_size:,} ids")
    )
    special = set(tokenizer.special_ids.values())
    line = Text("  ")
    for place, (number, piece) in enumerate(zip(ids, pieces, strict=True)):
        shown = piece.replace("\n", "⏎").replace("\t", "⇥").replace(" ", "␣") or "␣"
        colour = _SPECIAL if number in special else _COLOURS[place % len(_COLOURS)]
        line.append(shown, style=colour)
        # Where there are no colours, something must still part the tokens.
        line.append(" " if console.is_terminal else " | " if place < len(ids) - 1 else "")
    console.print(line, soft_wrap=True)
    console.print(Text("  " + " ".join(map(str, ids)), style="dim"), soft_wrap=True)
