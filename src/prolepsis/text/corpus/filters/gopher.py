"""The rules of Gopher, of quality and of repetition."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from prolepsis.text.corpus.filtering import DocumentFilter
from prolepsis.text.corpus.filters.rules import Rule, apply_rules, repeated_parts
from prolepsis.text.corpus.stop_words import STOP_WORDS
from prolepsis.text.corpus.words import TOKEN, UNSPACED_LANGUAGES, WORD, ngram_hashes


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
        words = pl.col("word_list")
        num_tokens = text.str.count_matches(TOKEN).clip(lower_bound=1)
        num_lines = text.str.count_matches("\n", literal=True) + 1
        has_letter = words.list.eval(pl.element().str.contains(r"\p{L}"))
        unspaced = pl.col("language").is_in(UNSPACED_LANGUAGES)
        length = words.list.join("").str.len_chars() / words.list.len().clip(lower_bound=1)
        return documents.with_columns(word_list=text.str.extract_all(WORD)).select(
            words=words.list.len(),
            length=pl.when(~unspaced).then(length),
            hashes=text.str.count_matches("#", literal=True) / num_tokens,
            ellipses=text.str.count_matches(r"\.\.\.|…") / num_tokens,
            bullet_lines=text.str.count_matches(r"(?m)^[^\S\n]*[•\-]") / num_lines,
            ellipsis_lines=text.str.count_matches(r"(?m)(?:\.\.\.|…)[^\S\n]*$") / num_lines,
            alphabetic=has_letter.list.sum() / num_tokens,
            stop_words=self._num_stop_words(documents["language"].unique().to_list()),
        )

    def _num_stop_words(self, languages: Iterable[str]) -> pl.Expr:
        counts = [
            pl.when(pl.col("language") == language).then(
                pl.col("word_list")
                .list.set_intersection(pl.lit(sorted(self._stop_words[language]), dtype=pl.List(pl.String)))
                .list.len()
            )
            for language in languages
            if language in self._stop_words
        ]
        # A language without a list has no count, and a comparison with null drops nothing.
        return pl.coalesce(counts) if counts else pl.lit(None, dtype=pl.UInt32)


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
    top_ngrams: dict[int, float] = {2: 0.20, 3: 0.18, 4: 0.16}
    """For each n, the largest share of characters in the most frequent run of n tokens."""
    duplicate_ngrams: dict[int, float] = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
    """For each n, the largest share of characters in runs of n tokens that had occurred before."""


class GopherRepetitionFilter(DocumentFilter):
    """Gopher's rules of repetition (Rae et al. 2021, arXiv 2112.11446, table A1).

    The most frequent n-gram counts only where it occurs twice. datatrove does not ask that, and drops every
    text of a few words, in which a single run is already a large share; its rule of 50 words hides it.
    """

    Config = GopherRepetitionConfig

    def __init__(self, config: GopherRepetitionConfig) -> None:
        self._config = config

    def judge(self, documents: pl.DataFrame) -> pl.DataFrame:
        config = self._config
        column = pl.col
        judged = apply_rules(
            documents,
            pl.concat(
                [
                    repeated_parts(documents, r"\n{2,}", "paragraph", pl.col("text")),
                    repeated_parts(documents, r"\n+", "line", pl.col("text")),
                ],
                how="horizontal",
            ),
            [
                Rule.above("dup_para_frac", column("paragraph_share"), config.max_duplicate_paragraphs),
                Rule.above(
                    "dup_para_char_frac",
                    column("paragraph_characters"),
                    config.max_duplicate_paragraph_characters,
                ),
                Rule.above("dup_line_frac", column("line_share"), config.max_duplicate_lines),
                Rule.above(
                    "dup_line_char_frac", column("line_characters"), config.max_duplicate_line_characters
                ),
            ],
        )
        return self._judge_ngrams(judged)

    def _judge_ngrams(self, judged: pl.DataFrame) -> pl.DataFrame:
        reasons = judged["reason"].to_list()
        scores = judged["score"].to_list()
        for row in self._suspicious(judged["text"]):
            if reasons[row] is None:
                reasons[row], scores[row] = self._judge_tokens(judged["text"][row])
        return judged.with_columns(
            reason=pl.Series(reasons, dtype=pl.String), score=pl.Series(scores, dtype=pl.Float64)
        )

    def _suspicious(self, texts: pl.Series) -> list[int]:
        """Rows that an n-gram rule could drop, by a bound on the exact figure of a few sums per token."""
        tokens = texts.str.extract_all(TOKEN)
        rows = np.repeat(np.arange(len(texts)), tokens.list.len().to_numpy())
        flat = tokens.list.explode(empty_as_null=False)
        hashes = flat.hash().to_numpy()
        ends = np.concatenate([[0], np.cumsum(flat.str.len_chars().to_numpy(), dtype=np.int64)])
        characters = texts.str.len_chars().to_numpy()
        suspicious: set[int] = set()
        sizes = self._config.top_ngrams | self._config.duplicate_ngrams
        for n, most in sizes.items():
            ngrams, starts = ngram_hashes(hashes, rows, n)
            frame = pl.DataFrame(
                {
                    "row": rows[starts],
                    "ngram": ngrams,
                    # The most frequent n-gram is measured with the spaces between its words.
                    "characters": ends[starts + n] - ends[starts] + n - 1,
                }
            )
            groups = frame.group_by("row", "ngram").agg(pl.len().alias("count"), pl.col("characters").first())
            repeated = groups.filter(pl.col("count") > 1).group_by("row")
            total = pl.col("count") * pl.col("characters")
            if n in self._config.duplicate_ngrams:
                # Windows that begin inside a counted repetition are skipped: all repeats are an upper bound.
                bound = repeated.agg((total - pl.col("characters")).sum())
            else:
                bound = repeated.agg(total.max())
            found, value = bound.to_numpy().T
            suspicious.update(found[value > most * characters[found]].tolist())
        return sorted(suspicious)

    def _judge_tokens(self, text: str) -> tuple[str | None, float | None]:
        tokens: list[str] = pl.Series([text]).str.extract_all(TOKEN)[0].to_list()
        for n, most in self._config.top_ngrams.items():
            share = _most_frequent_characters(tokens, n) / len(text)
            if share > most:
                return f"top_{n}_gram", share
        for n, most in self._config.duplicate_ngrams.items():
            share = _repeated_characters(tokens, n) / len(text)
            if share > most:
                return f"duplicated_{n}_n_grams", share
        return None, None


def _most_frequent_characters(tokens: list[str], n: int) -> int:
    """Characters in all occurrences of the most frequent run of `n` tokens, the first such, if it recurs."""
    counts = Counter(" ".join(tokens[start : start + n]) for start in range(len(tokens) - n + 1))
    if not counts:
        return 0
    ngram, count = counts.most_common(1)[0]
    return len(ngram) * count if count > 1 else 0


def _repeated_characters(tokens: list[str], n: int) -> int:
    """Characters in runs of `n` tokens that had occurred before, each character counted once."""
    seen: set[str] = set()
    repeated = start = 0
    while start <= len(tokens) - n:
        ngram = "".join(tokens[start : start + n])
        if ngram in seen:
            repeated += len(ngram)
            start += n
        else:
            seen.add(ngram)
            start += 1
    return repeated
