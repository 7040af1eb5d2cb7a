"""The rules of Gopher, of quality and of repetition (Rae et al. 2021, arXiv 2112.11446, appendix A.1)."""

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from prolepsis.text.corpus.filtering import DocumentFilter
from prolepsis.text.corpus.filters.repetition import ngram_characters, repeated_parts
from prolepsis.text.corpus.filters.rules import LINE_END, Rule, apply_rules
from prolepsis.text.corpus.filters.tokens import (
    HAS_LETTER,
    HAS_NON_SYMBOL,
    Tokens,
    token_hashes,
    tokenize,
)
from prolepsis.text.corpus.stop_words import STOP_WORDS
from prolepsis.text.corpus.words import UNSPACED_LANGUAGES


class GopherQualityConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    min_words: int = Field(default=50, ge=0)
    """Words, at least; punctuation marks are none."""
    max_words: int = Field(default=100_000, ge=1)
    """The same, at most."""
    min_mean_word_length: float = Field(default=3, ge=0)
    """Characters; not asked of languages written without spaces."""
    max_mean_word_length: float = Field(default=10, ge=0)
    """The same, at most."""
    max_symbol_word_ratio: float = Field(default=0.1, ge=0)
    """Hash signs, and ellipses, for each token."""
    max_bullet_lines: float = Field(default=0.9, ge=0, le=1)
    """The largest share of lines that start with a bullet or a dash."""
    max_ellipsis_lines: float = Field(default=0.3, ge=0, le=1)
    """The largest share of lines that end in an ellipsis."""
    min_alphabetic_words: float = Field(default=0.8, ge=0, le=1)
    """The least share of tokens with a letter; punctuation marks are tokens too, so dialogue scores low."""
    min_stop_words: int = Field(default=2, ge=0)
    """How many different stop words; a language without a list is not asked."""
    stop_words: dict[str, list[str]] = {}
    """Lists by language that replace or add to the built-in ones."""


class GopherQualityFilter(DocumentFilter):
    """Gopher's rules of quality (Rae et al. 2021, arXiv 2112.11446, appendix A.1.1)."""

    Config = GopherQualityConfig

    def __init__(self, config: GopherQualityConfig) -> None:
        self._config = config
        self._stop_words = STOP_WORDS | {
            language: frozenset(words) for language, words in config.stop_words.items()
        }

    def judge(self, documents: pl.DataFrame) -> pl.DataFrame:
        config = self._config
        column = pl.col
        return apply_rules(
            documents,
            self._measures(documents),
            [
                Rule.below("gopher_short_doc", column("words"), config.min_words),
                Rule.above("gopher_long_doc", column("words"), config.max_words),
                Rule.below("gopher_below_avg_threshold", column("length"), config.min_mean_word_length),
                Rule.above("gopher_above_avg_threshold", column("length"), config.max_mean_word_length),
                Rule.above("gopher_too_many_hashes", column("hashes"), config.max_symbol_word_ratio),
                Rule.above("gopher_too_many_ellipsis", column("ellipses"), config.max_symbol_word_ratio),
                Rule.above("gopher_too_many_bullets", column("bullet_lines"), config.max_bullet_lines),
                Rule.above(
                    "gopher_too_many_end_ellipsis", column("ellipsis_lines"), config.max_ellipsis_lines
                ),
                Rule.below("gopher_below_alpha_threshold", column("alphabetic"), config.min_alphabetic_words),
                Rule.below("gopher_enough_stop_words", column("stop_words"), config.min_stop_words),
            ],
        )

    def _measures(self, documents: pl.DataFrame) -> pl.DataFrame:
        text = pl.col("text")
        tokens = tokenize(documents["text"], documents["language"])
        is_word = (tokens.kinds & HAS_NON_SYMBOL) > 0
        # Behind the last line end there is no further line.
        lines = text.str.replace_all(LINE_END, "\n").str.strip_suffix("\n")
        num_lines = lines.str.count_matches("\n", literal=True) + 1
        unspaced = pl.col("language").is_in(UNSPACED_LANGUAGES)
        return documents.with_columns(
            tokens=pl.Series(tokens.counts).clip(lower_bound=1),
            words=pl.Series(tokens.sums(is_word)),
            word_characters=pl.Series(tokens.sums(tokens.lengths * is_word)),
            alphabetic=pl.Series(tokens.sums(tokens.kinds & HAS_LETTER)),
            stop_words=self._num_stop_words(documents["language"], tokens),
            lines=lines,
        ).select(
            "words",
            "stop_words",
            length=pl.when(~unspaced).then(pl.col("word_characters") / pl.col("words")),
            hashes=text.str.count_matches("#", literal=True) / pl.col("tokens"),
            ellipses=text.str.count_matches(r"\.\.\.|…") / pl.col("tokens"),
            bullet_lines=pl.col("lines").str.count_matches(r"(?m)^[^\S\n]*[•\-]") / num_lines,
            ellipsis_lines=pl.col("lines").str.count_matches(r"(?m)(?:\.\.\.|…)[^\S\n]*$") / num_lines,
            alphabetic=pl.col("alphabetic") / pl.col("tokens"),
        )

    def _num_stop_words(self, languages: pl.Series, tokens: Tokens) -> pl.Series:
        """How many different stop words each document has, null where its language has no list of them."""
        counts = np.full(len(languages), -1, np.int64)
        for language in languages.unique():
            if language in self._stop_words:
                counts[(languages == language).to_numpy()] = 0
                hashes = np.sort(token_hashes(self._stop_words[language]))
                places = np.flatnonzero(np.isin(tokens.hashes, hashes))
                found = pl.DataFrame(
                    {
                        "row": np.searchsorted(tokens.borders, places, side="right") - 1,
                        "hash": tokens.hashes[places],
                    }
                )
                for row, count in found.group_by("row").agg(pl.col("hash").n_unique()).iter_rows():
                    counts[row] = count if languages[row] == language else counts[row]
        return pl.Series(counts).replace(-1, None)


class GopherRepetitionConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    max_duplicate_paragraphs: float = Field(default=0.3, ge=0)
    """The largest share of paragraphs that had occurred before in the document."""
    max_duplicate_paragraph_characters: float = Field(default=0.2, ge=0)
    """The largest share of characters in such paragraphs."""
    max_duplicate_lines: float = Field(default=0.3, ge=0)
    """The same for lines."""
    max_duplicate_line_characters: float = Field(default=0.2, ge=0)
    """The same for the characters in them."""
    top_ngrams: dict[PositiveInt, float] = {2: 0.20, 3: 0.18, 4: 0.16}
    """For each n, the largest share of characters in the most frequent run of n tokens."""
    duplicate_ngrams: dict[PositiveInt, float] = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
    """For each n, the largest share of characters in runs of n tokens that had occurred before."""
    top_ngrams_must_recur: bool = False
    """Whether the most frequent run counts only if it occurs twice. In Gopher's rule a run that occurs once
    counts too, so that every text of a few words is dropped."""


class GopherRepetitionFilter(DocumentFilter):
    """Gopher's rules of repetition (table A1), as `GopherRepetitionFilter` of datatrove 0.10."""

    Config = GopherRepetitionConfig

    def __init__(self, config: GopherRepetitionConfig) -> None:
        self._config = config

    def judge(self, documents: pl.DataFrame) -> pl.DataFrame:
        config = self._config
        length = pl.col("length")
        paragraphs = repeated_parts(documents["text"].str.strip_chars(), min_breaks=2)
        lines = repeated_parts(documents["text"], min_breaks=1)
        top, duplicate = ngram_characters(
            tokenize(documents["text"], documents["language"]),
            [*config.top_ngrams],
            [*config.duplicate_ngrams],
            config.top_ngrams_must_recur,
        )
        measures = documents.select(
            length=pl.col("text").str.len_chars(),
            paragraph_share=pl.Series(paragraphs.share),
            paragraph_characters=pl.Series(paragraphs.characters),
            line_share=pl.Series(lines.share),
            line_characters=pl.Series(lines.characters),
            **{f"top_{n}": pl.Series(column) for n, column in zip(config.top_ngrams, top.T, strict=True)},
            **{
                f"duplicate_{n}": pl.Series(column)
                for n, column in zip(config.duplicate_ngrams, duplicate.T, strict=True)
            },
        )
        paragraph_characters = pl.col("paragraph_characters") / length
        line_characters = pl.col("line_characters") / length
        return apply_rules(
            documents,
            measures,
            [
                Rule("empty", length, length == 0),
                Rule.above("dup_para_frac", pl.col("paragraph_share"), config.max_duplicate_paragraphs),
                Rule.above(
                    "dup_para_char_frac", paragraph_characters, config.max_duplicate_paragraph_characters
                ),
                Rule.above("dup_line_frac", pl.col("line_share"), config.max_duplicate_lines),
                Rule.above("dup_line_char_frac", line_characters, config.max_duplicate_line_characters),
                *(
                    Rule.above(f"top_{n}_gram", pl.col(f"top_{n}") / length, most)
                    for n, most in config.top_ngrams.items()
                ),
                *(
                    Rule.above(f"duplicated_{n}_n_grams", pl.col(f"duplicate_{n}") / length, most)
                    for n, most in config.duplicate_ngrams.items()
                ),
            ],
        )
