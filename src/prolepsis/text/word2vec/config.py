"""What a user may say about how word vectors are trained."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt


class Word2VecConfig(BaseModel):
    """Skip-gram with negative sampling; the defaults are those of word2vec.c's skip-gram and of gensim.

    Attributes:
        dimension: length of a vector; on a CPU multiples of 16 cost nothing extra.
        window: the widest distance between a word and one it helps to predict; each word draws its own, 1 to
            this.
        negatives: noise words for each predicted word, shared by all words of its window.
        min_count: a token that is rarer than this in the training split has no vector.
        subsample: relative frequency from which on occurrences are left out at random; 0 leaves out none.
        learning_rate: at the start; it falls linearly to a ten-thousandth of this.
        epochs: passes over the training split.
        threads: CPU threads. One gives the same vectors every time; more write to the same tables at once,
            without locks (Hogwild), and differ a little from run to run.
        seed: of all random choices.
        device: `cuda` trains on the GPU, anything else on the CPU; `auto` takes the GPU if there is one.
        checkpoint_directory: holds the tables after each finished epoch while training runs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dimension: PositiveInt = 100
    window: PositiveInt = 5
    negatives: PositiveInt = 5
    min_count: PositiveInt = 5
    subsample: NonNegativeFloat = Field(default=1e-3, le=1.0)
    learning_rate: PositiveFloat = 0.025
    epochs: PositiveInt = 5
    threads: PositiveInt = 1
    seed: int = Field(default=0, ge=0)
    device: str = "auto"
    checkpoint_directory: Path
