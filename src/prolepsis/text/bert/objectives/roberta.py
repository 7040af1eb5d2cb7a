"""RoBERTa's objective: BERT's masks, drawn anew in every pass, and no question about pairs (Liu et al. 2019).

RoBERTa's rows run over the ends of documents. Here they do not: a document's runs of sentences are packed
into full rows instead, and none sees another (the paper's DOC-SENTENCES, without its smaller batches).
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from prolepsis.text.bert.examples import TextBlockExamples, plan_text_blocks
from prolepsis.text.bert.objectives.masked import MaskedTokenObjective
from prolepsis.text.bert.segment_pairs import SentenceTable
from prolepsis.text.token_shards import TokenSplit


class RobertaObjective(MaskedTokenObjective):
    """Hide 15 % of the tokens of runs of full sentences and predict them."""

    name = "roberta"

    class Config(BaseModel):
        """RoBERTa's values; its rows have 512 tokens."""

        model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

        max_length: int = Field(512, ge=3)
        """Tokens in a row, and the most in an example."""
        mlm_probability: float = Field(0.15, gt=0, lt=1)
        """Share of an example's tokens that are hidden."""
        sample_break_mode: Literal["complete", "none"] = "complete"
        """`complete`: examples end with a sentence; `none`: they are as long as a row, but for the last of a
        document, which leaves less of the rows empty. The names are fairseq's."""
        output_bias: Literal["zeros", "token_frequencies"] = "zeros"
        """Where the output's bias starts: at zeros, or so that tokens are guessed by frequency."""

    def examples(self, split: TokenSplit, seed: int, pass_index: int) -> TextBlockExamples:
        special = self.tokenizer.special_ids
        blocks = plan_text_blocks(
            SentenceTable.of(split),
            self.max_length - 2,
            whole_sentences=self.config.sample_break_mode == "complete",
        )
        return TextBlockExamples(split, blocks, (special["cls"],), (special["sep"],))
