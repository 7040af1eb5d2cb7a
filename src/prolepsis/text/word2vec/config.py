"""What a user may say about how word vectors are trained."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

SATURATION = 6.0
"""A score from which on word2vec.c takes a probability for certain: its MAX_EXP."""


class Word2VecConfig(BaseModel):
    """Skip-gram or CBOW; where word2vec.c and others differ, the defaults are word2vec.c's, but for
    `targets_per`, whose own is faster.

    Attributes:
        model: `skip_gram`: each word of a window predicts its centre; `cbow`: the mean of them does.
        output: `negative_sampling` tells the centre from noise words; `hierarchical_softmax` follows the
            branches to it in a Huffman tree of all words.
        dimension: length of a vector; on a CPU multiples of 16 cost nothing extra.
        window: the widest distance between a word and one it helps to predict.
        shrink_windows: each centre draws its own distance, 1 to `window`, so that near words count more.
        negatives: noise words for each predicted word.
        noise_exponent: a word is drawn as noise in proportion to its count to this power.
        targets_per: in skip-gram, `window`: all words of a window share the noise words and see the output
            vectors from before it, which is faster; `pair`: each pair draws its own and updates at once, as
            in word2vec.c. The expected gradient is the same.
        cbow_gradient: `word2vec` moves each word of a window by the gradient of their mean, as word2vec.c and
            gensim do; `exact` divides that by their number, as the derivative says (Irsoy et al. 2021, koan),
            and wants a higher learning rate.
        saturation: where a score lies beyond ±6 on the wrong side, `word2vec` takes the full step, `gensim`
            none. Hierarchical softmax takes none in both.
        min_count: a token that is rarer than this in the training split has no vector.
        subsample: relative frequency from which on occurrences are left out at random; 0 leaves out none.
        learning_rate: at the start; by default 0.025 for skip-gram and 0.05 for CBOW.
        lowest_rate: the learning rate falls linearly, to this share of the first; 1 holds it constant.
        epochs: passes over the training split.
        threads: CPU threads. One gives the same vectors every time; more write to the same tables at once,
            without locks (Hogwild), and differ a little from run to run.
        seed: of all random choices.
        device: `cpu`, `cuda` or `cuda:1`; `auto` takes the GPU if CUDA has one, else the CPU.
        checkpoint_directory: holds the tables after each finished epoch while training runs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Literal["skip_gram", "cbow"] = "skip_gram"
    output: Literal["negative_sampling", "hierarchical_softmax"] = "negative_sampling"
    dimension: PositiveInt = 100
    window: PositiveInt = 5
    shrink_windows: bool = True
    negatives: PositiveInt = 5
    noise_exponent: float = Field(default=0.75, ge=-2.0, le=2.0)
    targets_per: Literal["window", "pair"] = "window"
    cbow_gradient: Literal["word2vec", "exact"] = "word2vec"
    saturation: Literal["word2vec", "gensim"] = "word2vec"
    min_count: PositiveInt = 5
    subsample: NonNegativeFloat = Field(default=1e-3, le=1.0)
    learning_rate: PositiveFloat | None = None
    lowest_rate: PositiveFloat = Field(default=1e-4, le=1.0)
    epochs: PositiveInt = 5
    threads: PositiveInt = 1
    seed: int = Field(default=0, ge=0)
    device: str = "auto"
    checkpoint_directory: Path

    @property
    def first_rate(self) -> float:
        """The learning rate at the start: the user's, or word2vec.c's for the model."""
        if self.learning_rate is not None:
            return self.learning_rate
        return 0.025 if self.model == "skip_gram" else 0.05
