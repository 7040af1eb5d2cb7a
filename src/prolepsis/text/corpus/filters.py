"""What makes a document unfit to learn from: the published rules of Gopher, C4 and FineWeb, with their
thresholds.

Thresholds, their order and the reason codes are those of datatrove 0.10 (`datatrove/pipeline/filters`), whose
decisions FineWeb was made with; words are found by `words.TOKEN` instead of spaCy. Everything is a polars
expression over a batch, but for the n-gram repetitions of the few documents that an expression finds
suspicious.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from prolepsis.text.corpus.filtering import DocumentFilter
from prolepsis.text.corpus.stop_words import STOP_WORDS
from prolepsis.text.corpus.words import TOKEN, UNSPACED_LANGUAGES, WORD, ngram_hashes

SENTENCE_ENDS = ".?!\"'”’»)…。！？؟۔।"
POLICY_PHRASES = [
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
]

_ENDS_SENTENCE = rf"[{SENTENCE_ENDS}]$"
_SENTENCE_BREAK = (
    r"[.?!…][\"'”’»)]*\s+[\"'“‘«(¿¡]*[\p{Lu}\p{Lo}\p{N}]"  # a full stop, and what may begin a sentence
    r"|[。！？][\"'”’»)」』]*\S"  # scripts that put no space between sentences
)
_CITATION = r"\[\d*\]|\[edit\]|\[citation needed\]"


@dataclass(frozen=True)
class Rule:
    """A reason to drop a document.

    Attributes:
        reason: its code.
        measure: the figure it looks at, one per document.
        drops: whether that figure is bad, an expression of the same column.
    """

    reason: str
    measure: pl.Expr
    drops: pl.Expr

    @classmethod
    def below(cls, reason: str, measure: pl.Expr, least: float) -> "Rule":
        return cls(reason, measure, measure < least)

    @classmethod
    def above(cls, reason: str, measure: pl.Expr, most: float) -> "Rule":
        return cls(reason, measure, measure > most)


def apply_rules(documents: pl.DataFrame, measures: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """Adds `reason` and `score` of the first rule that drops a document, nulls where none does.

    Args:
        documents: a batch as `DocumentFilter.judge` gets it.
        measures: a row per document with the columns the rules speak of.
        rules: in the order in which they are asked.
    """
    reason = pl.coalesce(pl.when(rule.drops).then(pl.lit(rule.reason)) for rule in rules)
    score = pl.coalesce(pl.when(rule.drops).then(rule.measure.cast(pl.Float64)) for rule in rules)
    return documents.with_columns(measures.select(reason=reason, score=score))


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
                    _repeated_parts(documents, r"\n{2,}", "paragraph", pl.col("text")),
                    _repeated_parts(documents, r"\n+", "line", pl.col("text")),
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


class C4Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    require_sentence_end: bool = True
    """Removes lines that do not end as a sentence does. FineWeb leaves this rule out."""
    min_words_per_line: int = Field(default=3, ge=0)
    """Shorter lines are removed."""
    max_word_length: int = Field(default=1000, ge=1)
    """A line with a longer word is removed."""
    min_sentences: int = Field(default=5, ge=1)
    """What the lines that are kept must hold together."""


class C4Filter(DocumentFilter):
    """C4's rules (Raffel et al. 2020, JMLR 21:140, section 2.2): removes lines, then judges what is left.

    Lines go for a word too long, a missing end of sentence, too few words, "javascript" and phrases about
    cookies and terms of use; marks of citations are cut out. Documents go for `lorem_ipsum`, `curly_bracket`
    and `too_few_sentences` (the score is their number).
    """

    Config = C4Config

    def __init__(self, config: C4Config) -> None:
        self._config = config

    def judge(self, documents: pl.DataFrame) -> pl.DataFrame:
        config = self._config
        lines = self._lines(documents)
        kept = pl.col("line").filter(pl.col("kept"))
        sentences = (kept.str.count_matches(_SENTENCE_BREAK) + 1).sum()
        summary = lines.group_by("row", maintain_order=True).agg(
            kept_text=kept.str.join("\n"),
            sentences=sentences,
            lorem_ipsum=pl.col("lorem_ipsum").any(),
            curly_bracket=pl.col("curly_bracket").any(),
        )
        column = pl.col
        judged = apply_rules(
            documents,
            summary,
            [
                Rule("lorem_ipsum", pl.lit(None), column("lorem_ipsum")),
                Rule("curly_bracket", pl.lit(None), column("curly_bracket")),
                Rule.below("too_few_sentences", column("sentences"), config.min_sentences),
            ],
        )
        rewritten = pl.when(pl.col("reason").is_null()).then(summary["kept_text"]).otherwise(pl.col("text"))
        return judged.with_columns(text=rewritten)

    def _lines(self, documents: pl.DataFrame) -> pl.DataFrame:
        """A row per line: the document's row, the line without citations, and what the rules say of it."""
        config = self._config
        line = pl.col("line")
        words = line.str.extract_all(r"\S+")
        lower = line.str.to_lowercase()
        sentence = pl.lit(True)
        if config.require_sentence_end:
            sentence = line.str.contains(_ENDS_SENTENCE) & ~line.str.contains(r"(?:\.\.\.|…)$")
        return (
            documents.select(line=pl.col("text").str.split("\n"))
            .with_row_index("row")
            .explode("line", empty_as_null=True)
            .with_columns(line.str.strip_chars())
            .with_columns(
                fits=(words.list.len() >= config.min_words_per_line)
                & (words.list.eval(pl.element().str.len_chars()).list.max() <= config.max_word_length),
                line=line.str.replace_all(_CITATION, "").str.strip_chars(),
            )
            .with_columns(plain=pl.col("fits").fill_null(False) & sentence)
            .with_columns(
                lorem_ipsum=pl.col("plain") & lower.str.contains("lorem ipsum", literal=True),
                javascript=lower.str.contains("javascript", literal=True),
                policy=lower.str.contains_any(POLICY_PHRASES),
            )
            .with_columns(
                curly_bracket=pl.col("plain") & ~pl.col("javascript") & line.str.contains("{", literal=True),
                kept=pl.col("plain") & ~pl.col("javascript") & ~pl.col("policy"),
            )
        )


class FineWebConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    min_sentence_end_lines: float = Field(default=0.12, ge=0, le=1)
    """The least share of lines that end as sentences do."""
    max_short_lines: float = Field(default=0.67, ge=0, le=1)
    """The largest share of short lines."""
    short_line_characters: int = Field(default=30, ge=0)
    """Up to so many characters a line is short."""
    max_duplicate_characters: float = Field(default=0.01, ge=0)
    """The largest share of characters in lines that had occurred before."""
    max_lines_per_word: float = Field(default=0.3, ge=0)
    """Line breaks for each token: lists have many."""


class FineWebFilter(DocumentFilter):
    """FineWeb's own rules (Penedo et al. 2024, arXiv 2406.17557, 3.5): no lists, no repeated lines."""

    Config = FineWebConfig

    def __init__(self, config: FineWebConfig) -> None:
        self._config = config

    def judge(self, documents: pl.DataFrame) -> pl.DataFrame:
        config = self._config
        column = pl.col
        return apply_rules(
            documents,
            self._measures(documents),
            [
                Rule.below("line_punct_ratio", column("sentence_ends"), config.min_sentence_end_lines),
                Rule.above("short_line_ratio", column("short_lines"), config.max_short_lines),
                Rule.above("char_dup_ratio", column("line_characters"), config.max_duplicate_characters),
                Rule.above("list_ratio", column("lines_per_word"), config.max_lines_per_word),
            ],
        )

    def _measures(self, documents: pl.DataFrame) -> pl.DataFrame:
        text = pl.col("text")
        short = self._config.short_line_characters
        lines = text.str.split("\n").list.eval(pl.element().filter(pl.element().str.contains(r"\S")))
        ends = pl.element().str.contains(_ENDS_SENTENCE)
        num_lines = pl.col("lines").list.len().clip(lower_bound=1)
        measures = documents.with_columns(lines=lines).select(
            sentence_ends=pl.col("lines").list.eval(ends).list.sum() / num_lines,
            short_lines=pl.col("lines").list.eval(pl.element().str.len_chars() <= short).list.sum()
            / num_lines,
            lines_per_word=text.str.count_matches("\n", literal=True)
            / text.str.count_matches(TOKEN).clip(lower_bound=1),
        )
        without_line_ends = text.str.replace_all("\n", "", literal=True)
        repeated = _repeated_parts(documents, r"\n+", "line", without_line_ends)
        return pl.concat([measures, repeated], how="horizontal")


def _repeated_parts(documents: pl.DataFrame, separator: str, name: str, whole: pl.Expr) -> pl.DataFrame:
    """Parts of each document that had occurred before in it, for every document.

    Returns:
        `{name}_share`, of the parts, and `{name}_characters`, of the characters of `whole`.
    """
    # polars splits at literals only; a character that normalisation removes marks the separators.
    parts = (
        documents.select(
            part=pl.col("text").str.strip_chars().str.replace_all(separator, "\x1e").str.split("\x1e"),
            length=whole.str.len_chars(),
        )
        .with_row_index("row")
        .explode("part", empty_as_null=True)
        .with_columns(repeated=~pl.struct("row", "part").is_first_distinct())
    )
    length = pl.col("length").first().clip(lower_bound=1)
    return (
        parts.group_by("row", maintain_order=True)
        .agg(
            (pl.col("repeated").sum() / pl.len()).alias(f"{name}_share"),
            (pl.col("part").filter(pl.col("repeated")).str.len_chars().sum() / length).alias(
                f"{name}_characters"
            ),
        )
        .drop("row")
    )


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
