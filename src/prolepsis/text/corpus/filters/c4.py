"""C4's rules of lines and documents (Raffel et al. 2020, JMLR 21:140), and mC4's of paragraphs."""

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from prolepsis.text.corpus.filtering import DocumentFilter
from prolepsis.text.corpus.filters.rules import LINE_END, Rule, apply_rules
from prolepsis.text.corpus.filters.tokens import ENDS_SENTENCE, IS_PUNCTUATION, Tokens, tokenize
from prolepsis.text.corpus.words import UNSPACED_LANGUAGES

POLICY_PHRASES = [
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
]

_CITATION = r"\[\d*\]|\[edit\]|\[citation needed\]"


class C4Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    require_sentence_end: bool = True
    """Removes lines that do not end as a sentence does. FineWeb leaves this rule out."""
    sentence_ends: tuple[str, ...] = Field(default=(".", "?", "!", '"', "'"), min_length=1)
    """How a sentence may end; three full stops are no end. Other scripts, and typographic quotation marks,
    need more than the published list."""
    min_words_per_line: int = Field(default=3, ge=0)
    """Shorter lines are removed. Not asked of languages written without spaces, nor is the next."""
    max_word_length: int = Field(default=1000, ge=1)
    """A line with a longer word is removed."""
    min_sentences: int = Field(default=5, ge=1)
    """What the lines that are kept must hold together."""


class C4Filter(DocumentFilter):
    """C4's rules of lines and documents: removes lines, then judges what is left.

    Lines go for a word too long, a missing end of sentence, too few words, "javascript" and phrases about
    cookies and terms of use; marks of citations are cut out. Documents go for `lorem_ipsum`, `curly_bracket`
    and `too_few_sentences` (the score is their number). As `C4QualityFilter` of datatrove 0.10; the list of
    bad words of the paper is left out there too.
    """

    Config = C4Config

    def __init__(self, config: C4Config) -> None:
        self._config = config

    def judge(self, documents: pl.DataFrame) -> pl.DataFrame:
        column = pl.col
        lines = self._lines(documents)
        summary = (
            lines.group_by("row", maintain_order=True)
            .agg(
                kept_text=column("line").filter("kept").str.join("\n"),
                kept_lines=column("kept").sum(),
                first_lorem_ipsum=column("number").filter("lorem_ipsum").first(),
                first_curly_bracket=column("number").filter("curly_bracket").first(),
            )
            .with_columns(column("kept_text").str.strip_chars())
        )
        # The line that comes first decides.
        curly_bracket = column("first_curly_bracket") < column("first_lorem_ipsum")
        judged = apply_rules(
            documents,
            summary.with_columns(sentences=self._num_sentences(documents["language"], lines, summary)),
            [
                Rule("curly_bracket", pl.lit(None), curly_bracket),
                Rule("lorem_ipsum", pl.lit(None), column("first_lorem_ipsum").is_not_null()),
                Rule("curly_bracket", pl.lit(None), column("first_curly_bracket").is_not_null()),
                Rule.below("too_few_sentences", column("sentences"), self._config.min_sentences),
            ],
        )
        rewritten = pl.when(column("reason").is_null()).then(summary["kept_text"]).otherwise(column("text"))
        return judged.with_columns(text=rewritten)

    def _lines(self, documents: pl.DataFrame) -> pl.DataFrame:
        """A row per line: the document's row, the line without citations, and what the rules say of it."""
        config = self._config
        line = pl.col("line")
        is_sentence = pl.lit(True)
        if config.require_sentence_end:
            is_sentence = pl.any_horizontal(line.str.ends_with(end) for end in config.sentence_ends)
            is_sentence &= ~line.str.ends_with("...")
        lower = line.str.to_lowercase()
        # Where no spaces part words, their number and length say nothing.
        few_words = line.str.count_matches(r"\S+") < config.min_words_per_line
        ill_worded = ~pl.col("language").is_in(UNSPACED_LANGUAGES) & (few_words | self._has_long_word())
        return (
            documents.select("language", line=pl.col("text").str.replace_all(LINE_END, "\n").str.split("\n"))
            .with_row_index("row")
            .explode("line", empty_as_null=True)
            .with_row_index("number")
            .with_columns(line.str.strip_chars())
            .with_columns(
                fits=~ill_worded,
                line=line.str.replace_all(_CITATION, ""),
            )
            .with_columns(plain=pl.col("fits") & is_sentence, lower=lower)
            .with_columns(
                lorem_ipsum=pl.col("plain") & pl.col("lower").str.contains("lorem ipsum", literal=True),
                javascript=pl.col("lower").str.contains("javascript", literal=True),
                policy=pl.col("lower").str.contains_any(POLICY_PHRASES),
            )
            .with_columns(
                curly_bracket=pl.col("plain") & ~pl.col("javascript") & line.str.contains("{", literal=True),
                kept=pl.col("plain") & ~pl.col("javascript") & ~pl.col("policy"),
            )
        )

    def _has_long_word(self) -> pl.Expr:
        line, most = pl.col("line"), self._config.max_word_length
        # Few lines are long enough to hold such a word, and only they are split.
        words = line.str.extract_all(r"\S+").list.eval(pl.element().str.len_chars()).list.max()
        return pl.when(line.str.len_bytes() > most).then(words > most).otherwise(False)

    def _num_sentences(self, languages: pl.Series, lines: pl.DataFrame, summary: pl.DataFrame) -> pl.Series:
        """The sentences of each document; for one with enough lines, just their number, as none is empty."""
        few = summary.filter(pl.col("kept_lines") < self._config.min_sentences).select("row")
        doubtful = lines.filter("kept").join(few, on="row", how="semi", maintain_order="left")
        tokens = tokenize(doubtful["line"], languages.gather(doubtful["row"]))
        sentences = (
            doubtful.select("row", sentences=pl.Series(num_sentences(tokens)))
            .group_by("row")
            .agg(pl.col("sentences").sum())
        )
        counts = summary.join(sentences, on="row", how="left", maintain_order="left")
        return counts.select(pl.coalesce("sentences", "kept_lines"))["sentences"]


def num_sentences(tokens: Tokens) -> npt.NDArray[np.int64]:
    """How many sentences each text has: one, and one for each token behind a mark that ends a sentence.

    Punctuation behind the mark still belongs to the sentence, as to spaCy's `sentencizer`.
    """
    ends = np.cumsum(tokens.kinds & ENDS_SENTENCE > 0)
    is_word = (tokens.kinds & (ENDS_SENTENCE | IS_PUNCTUATION)) == 0
    # A word begins a sentence if there are more marks before it than before the last word of the same text.
    text = np.repeat(np.arange(len(tokens.counts)), tokens.counts)[is_word]
    ends_before_text = np.concatenate([[0], ends])[tokens.borders[:-1]]
    marks = ends[is_word]
    is_first = np.diff(text, prepend=-1) > 0
    marks_before = np.where(is_first, ends_before_text[text], np.concatenate([[0], marks[:-1]]))
    return 1 + np.bincount(text[marks > marks_before], minlength=len(tokens.counts))


class C4ParagraphsConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    min_paragraphs: int = Field(default=3, ge=1)
    """A document with fewer is dropped."""
    min_paragraph_characters: int = Field(default=200, ge=0)
    """Shorter lines are no paragraphs."""


class C4ParagraphsFilter(DocumentFilter):
    """mC4's rule (Xue et al. 2021, arXiv 2010.11934): three lines of 200 characters.

    Reason: `too_few_paragraphs`, with their number. As `C4ParagraphFilter` of datatrove 0.10.
    """

    Config = C4ParagraphsConfig

    def __init__(self, config: C4ParagraphsConfig) -> None:
        self._config = config

    def judge(self, documents: pl.DataFrame) -> pl.DataFrame:
        is_paragraph = pl.element().str.len_chars() >= self._config.min_paragraph_characters
        measures = documents.select(
            paragraphs=pl.col("text").str.split("\n").list.eval(is_paragraph).list.sum()
        )
        rule = Rule.below("too_few_paragraphs", pl.col("paragraphs"), self._config.min_paragraphs)
        return apply_rules(documents, measures, [rule])
