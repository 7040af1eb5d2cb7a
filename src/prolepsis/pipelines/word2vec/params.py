"""What a user may say about word vectors."""

from pydantic import BaseModel, ConfigDict, PositiveInt

from prolepsis.text.word2vec.config import Word2VecConfig


class EvaluationParams(BaseModel):
    """The sets that score the vectors, each a path or `package:path` in an installed package.

    Attributes:
        similarity: name to set of word pairs with people's judgements (word, word, number, between tabs), or
            to null for a set that is not to be used.
        analogies: questions `a b c d` in sections, or null for none.
        outliers: a folder with a `.txt` for each group of words (one a line, an empty line, then its
            outliers); or analogies, of whose sections about meaning groups are made; or null for none.
        restrict_to: as many of the most frequent words are asked about and are possible answers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    similarity: dict[str, str | None]
    analogies: str | None
    outliers: str | None = None
    restrict_to: PositiveInt


class NeighbourParams(BaseModel):
    """Whose nearest words are listed.

    Attributes:
        words: these, where they have a vector,
        per_language: and so many of the most frequent words of each language,
        min_letters: of at least this length.
        count: neighbours of each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: list[str]
    per_language: PositiveInt
    min_letters: PositiveInt
    count: PositiveInt


class PictureParams(BaseModel):
    """Which words are on the map.

    Attributes:
        words: these, where they have a vector; null for the most frequent words:
        per_language: so many of each language,
        min_letters: of at least this length.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: list[str] | None = None
    per_language: PositiveInt
    min_letters: PositiveInt


class Word2VecParams(BaseModel):
    """The key `word2vec`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    training: Word2VecConfig
    evaluation: EvaluationParams
    neighbours: NeighbourParams
    picture: PictureParams
