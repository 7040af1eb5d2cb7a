"""How byte-level BPE cuts text into words, and how it writes bytes.

The patterns of GPT-2 and GPT-4 end in `\\s+(?!\\S)|\\s+`: of several white spaces before a word, the last is
left to the word. Regular expressions without look-ahead are faster and cannot overflow a stack. They find the
same words once the text is parted between the last two white spaces before every word, which is the end of a
word under either pattern.
"""

from typing import Literal

import numpy as np
import polars as pl
import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers

from prolepsis.text.tokenizers.words import Words, extract

Pattern = Literal["gpt2", "gpt4"]

_LOOK_AHEAD = r"|\s+(?!\S)"

# GPT-2, encoder.py of openai/gpt-2: a contraction; letters, digits or other signs with a space before them;
# white space.
# GPT-4, cl100k_base of openai/tiktoken: a contraction; letters with one sign or space before them; at most
# three digits; other signs with the line ends after them; line ends; white space.
PATTERNS: dict[Pattern, str] = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+" + _LOOK_AHEAD + r"|\s+",
    "gpt4": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
        r"|[^\r\n\p{L}\p{N}]?\p{L}+"
        r"|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+" + _LOOK_AHEAD + r"|\s+"
    ),
}

PATTERNS_OF_PARTS: dict[Pattern, str] = {
    name: pattern.replace(_LOOK_AHEAD, "") for name, pattern in PATTERNS.items()
}
"""What finds in each part of a text, as `parts` gives them, the words that `PATTERNS` finds in the text."""

# Where texts are parted; made longer until no text holds it.
_MARK = "\U0010ffff"

# GPT-4 gives line ends to the words before them.
_LAST_TWO_SPACES: dict[Pattern, str] = {"gpt2": r"(\s)(\s\S)", "gpt4": r"(\s)([^\S\r\n]\S)"}


def prepare(model: models.BPE, pattern: Pattern) -> tokenizers.Tokenizer:
    """A tokenizer around a model over the printable characters of bytes."""
    engine = tokenizers.Tokenizer(model)
    if pattern == "gpt2":
        engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    else:
        engine.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(PATTERNS[pattern]), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    engine.decoder = decoders.ByteLevel()
    return engine


def parts(texts: pl.Series, pattern: Pattern) -> pl.Series:
    """Each text as a list of the parts in which `PATTERNS_OF_PARTS` finds its words.

    Args:
        texts: String.
        pattern: name of a pattern.

    Returns:
        List of String; no part spans two white spaces and a word after them.
    """
    mark = _MARK
    while texts.str.contains(mark, literal=True).any():
        mark += mark
    return texts.str.replace_all(_LAST_TWO_SPACES[pattern], f"${{1}}{mark}${{2}}").str.split(mark)


def words(texts: pl.Series, pattern: Pattern) -> Words:
    """The words of the texts; those of a text put together are the text."""
    of_texts = parts(texts, pattern)
    of_parts = extract(of_texts.explode(), PATTERNS_OF_PARTS[pattern])
    num_parts = of_texts.list.len().cast(pl.Int64).to_numpy()
    starts = np.cumsum(num_parts) - num_parts
    numbers = np.add.reduceat(of_parts.numbers, starts) if len(starts) else of_parts.numbers
    return Words(of_parts.flat, numbers)


def _printable() -> dict[str, int]:
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


BYTES = _printable()
"""GPT-2's printable character for each byte (`bytes_to_unicode` in openai/gpt-2's encoder.py)."""


def token_bytes(token: str) -> bytes:
    """The bytes that a token in printable characters stands for."""
    return bytes(BYTES[character] for character in token)
