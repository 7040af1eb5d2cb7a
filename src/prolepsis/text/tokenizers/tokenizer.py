"""A trained tokenizer: text to ids and back, whatever algorithm made it.

The one source of truth is the `tokenizer.json` of the Hugging Face `tokenizers` library, so the same folder
also loads in `tokenizers` and `transformers`. Beside it lie `tokenizer_config.json` (which special token
plays which part, for `transformers`) and `config.json` (which plugin made it, from what configuration).

    >>> from prolepsis.text.tokenizers.byte_bpe import ByteLevelBytePairTrainer
    >>> trainer = ByteLevelBytePairTrainer(ByteLevelBytePairTrainer.Config(vocabulary_size=270))
    >>> tokenizer = trainer.train([["low lower lowest", "low low"]])
    >>> tokenizer.decode(tokenizer.encode_batch(["lower, très low 🙂"])[0])
    'lower, très low 🙂'
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import tokenizers
from numpy.typing import NDArray

from prolepsis.errors import ProlepsisError
from prolepsis.files import atomic_directory, read_json, write_json
from prolepsis.text.tokenizers.byte_level import token_bytes
from prolepsis.text.tokenizers.engines import WordEngine, fast_engine

TOKENIZER_FILE = "tokenizer.json"
TRANSFORMERS_FILE = "tokenizer_config.json"
CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class Encoding:
    """One encoded text.

    Attributes:
        ids: int32 `[N]`.
        offsets: int32 `[N, 2]`; token `i` stands for the characters `offsets[i, 0]` to `offsets[i, 1]` of
            the text as it was given, before any normalisation.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int32]


@dataclass(frozen=True)
class Tokenizer:
    """A trained tokenizer.

    Text is never mistaken for a special token: the characters `[MASK]` in a document become ordinary
    tokens, and encoding adds no special tokens of its own.

    Attributes:
        definition: the content of `tokenizer.json`.
        plugin: name of the plugin that trained it.
        config: the configuration that it was trained with.
        special_tokens: part (`pad`, `unk`, `cls`, `sep`, `mask`) to token, of those that exist.
    """

    definition: str = field(repr=False)
    plugin: str
    config: Mapping[str, Any]
    special_tokens: Mapping[str, str]

    @classmethod
    def load(cls, directory: Path) -> "Tokenizer":
        """Reads a folder that `save` wrote.

        Raises:
            ProlepsisError: a file is missing or is not a tokenizer's.
        """
        directory = Path(directory)
        try:
            definition = (directory / TOKENIZER_FILE).read_text(encoding="utf-8")
            config = read_json(directory / CONFIG_FILE)
            tokenizer = cls(definition, config["plugin"], config["config"], config["special_tokens"])
        except FileNotFoundError as error:
            raise ProlepsisError(
                "The tokenizer has not been trained, or a part of it is missing.",
                where=error.filename,
                remedy="Run 'kedro run --pipelines tokenization'.",
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise ProlepsisError(
                f"This is not a tokenizer's configuration: {error}",
                where=directory / CONFIG_FILE,
                remedy="Train the tokenizer again with 'kedro run --pipelines tokenization'.",
            ) from error
        tokenizer._check(directory / TOKENIZER_FILE)
        return tokenizer

    def save(self, directory: Path) -> None:
        """Writes the folder, whole or not at all."""
        with atomic_directory(Path(directory)) as temporary:
            (temporary / TOKENIZER_FILE).write_text(self.definition, encoding="utf-8")
            write_json(
                temporary / TRANSFORMERS_FILE,
                {
                    "tokenizer_class": "PreTrainedTokenizerFast",
                    "clean_up_tokenization_spaces": False,
                    # Without it, a pair's second text could not be told from its first.
                    "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
                    **{f"{part}_token": token for part, token in self.special_tokens.items()},
                },
            )
            write_json(
                temporary / CONFIG_FILE,
                {
                    "plugin": self.plugin,
                    "config": dict(self.config),
                    "special_tokens": dict(self.special_tokens),
                    "vocabulary_size": self.vocabulary_size,
                    "hash": self.hash,
                },
            )

    @cached_property
    def hash(self) -> str:
        """Sixteen hexadecimal digits of the SHA-256 of `tokenizer.json`; token shards carry it."""
        return hashlib.sha256(self.definition.encode()).hexdigest()[:16]

    @cached_property
    def vocabulary_size(self) -> int:
        """Number of ids, special tokens included; ids are 0 to this minus one."""
        return self._engine.get_vocab_size(with_added_tokens=True)

    def encode_batch(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """The ids of each text, int32, without special tokens; by `prolepsis.text.tokenizers.engines`."""
        if self._fast is not None:
            return self._fast.encode(texts)
        encodings = self._engine.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]

    def encode_batch_with_offsets(self, texts: Sequence[str]) -> list[Encoding]:
        """The ids of each text, and which characters each stands for."""
        if self._fast is not None and self._fast.has_offsets:
            return [Encoding(ids, offsets) for ids, offsets in self._fast.encode_with_offsets(texts)]
        encodings = self._engine.encode_batch(list(texts), add_special_tokens=False)
        return [
            Encoding(
                np.array(encoding.ids, dtype=np.int32),
                np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2),
            )
            for encoding in encodings
        ]

    def decode(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> str:
        """The text of the ids; special tokens are shown. Exact for `byte_bpe`, readable for the others."""
        return self._engine.decode([int(i) for i in ids], skip_special_tokens=False)

    def decode_batch(self, sequences: Sequence[Sequence[int] | NDArray[np.integer[Any]]]) -> list[str]:
        """`decode` for each sequence, in parallel."""
        return self._engine.decode_batch(
            [np.asarray(ids, dtype=np.int64).tolist() for ids in sequences], skip_special_tokens=False
        )

    def token_to_id(self, token: str) -> int | None:
        """The id of a token as `tokenizer.json` spells it, or None."""
        return self._engine.token_to_id(token)

    def id_to_token(self, token_id: int) -> str | None:
        """The token as `tokenizer.json` spells it, or None."""
        return self._engine.id_to_token(token_id)

    @cached_property
    def special_ids(self) -> dict[str, int]:
        """Part (`pad`, `unk`, `cls`, `sep`, `mask`) to id, of those that exist."""
        ids = {part: self.token_to_id(token) for part, token in self.special_tokens.items()}
        return {part: token_id for part, token_id in ids.items() if token_id is not None}

    @property
    def pad_id(self) -> int | None:
        return self.special_ids.get("pad")

    @property
    def unk_id(self) -> int | None:
        return self.special_ids.get("unk")

    @property
    def cls_id(self) -> int | None:
        return self.special_ids.get("cls")

    @property
    def sep_id(self) -> int | None:
        return self.special_ids.get("sep")

    @property
    def mask_id(self) -> int | None:
        return self.special_ids.get("mask")

    def words(self) -> list[str]:
        """A name for each id that a person can read, in order of the ids.

        A token that begins a word is the plain word, one that continues a word has `##` before it, special
        tokens are as they are. The bytes of an incomplete character are written `<E4>`.
        """
        display = _DISPLAY[json.loads(self.definition)["decoder"]["type"]]
        special = set(self.special_tokens.values())
        tokens = self._tokens()
        return [token if token in special else display(token) for token in tokens]

    def profile(self) -> pl.DataFrame:
        """The vocabulary as a table: `id` UInt32, `token` String, `special` Boolean."""
        tokens = self._tokens()
        special = set(self.special_tokens.values())
        return pl.DataFrame(
            {
                "id": np.arange(len(tokens), dtype=np.uint32),
                "token": tokens,
                "special": [token in special for token in tokens],
            },
            schema={"id": pl.UInt32, "token": pl.String, "special": pl.Boolean},
        )

    @cached_property
    def _engine(self) -> tokenizers.Tokenizer:
        engine = tokenizers.Tokenizer.from_str(self.definition)
        engine.encode_special_tokens = True  # in a document they are only characters
        return engine

    @cached_property
    def _fast(self) -> WordEngine | None:
        return fast_engine(self.definition)

    def _tokens(self) -> list[str]:
        tokens = [self._engine.id_to_token(i) for i in range(self.vocabulary_size)]
        return [token if token is not None else "" for token in tokens]

    def _check(self, path: Path) -> None:
        try:
            engine = self._engine
        except Exception as error:  # the library raises plain Exception for a file that it cannot read
            raise ProlepsisError(
                f"The tokenizers library cannot read this file: {error}",
                where=path,
                remedy="Train the tokenizer again with 'kedro run --pipelines tokenization'.",
            ) from error
        missing = [token for token in self.special_tokens.values() if engine.token_to_id(token) is None]
        if missing:
            raise ProlepsisError(
                f"The tokenizer's vocabulary lacks its special tokens {', '.join(missing)}.",
                where=path,
                remedy="tokenizer.json and config.json must come from the same training; train again.",
            )


def _display_wordpiece(token: str) -> str:
    return token


def _display_metaspace(token: str) -> str:
    word = token.removeprefix("▁")
    if word == token or not word:
        return "##" + token
    return word.replace("▁", " ")


def _display_byte_level(token: str) -> str:
    content = token_bytes(token)
    word = content.removeprefix(b" ")
    begins_word = word != content and bool(word)
    return _readable(word) if begins_word else "##" + _readable(content)


def _readable(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:  # part of a character
        return "".join(f"<{byte:02X}>" for byte in content)


_DISPLAY = {
    "WordPiece": _display_wordpiece,
    "Metaspace": _display_metaspace,
    "ByteLevel": _display_byte_level,
}
