"""The rules of C4."""

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from prolepsis.text.corpus.filtering import DocumentFilter
from prolepsis.text.corpus.filters.rules import ENDS_SENTENCE, Rule, apply_rules

POLICY_PHRASES = [
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
]

_SENTENCE_BREAK = (
    r"[.?!…][\"'”’»)]*\s+[\"'“‘«(¿¡]*[\p{Lu}\p{Lo}\p{N}]"  # a full stop, and what may begin a sentence
    r"|[。！？][\"'”’»)」』]*\S"  # scripts that put no space between sentences
)
_CITATION = r"\[\d*\]|\[edit\]|\[citation needed\]"


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
            sentence = line.str.contains(ENDS_SENTENCE) & ~line.str.contains(r"(?:\.\.\.|…)$")
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
