"""What an encoder has to be better than.

| method | classes of texts | tags of words | answers |
|---|---|---|---|
| `majority` | the most frequent label | the most frequent tag | |
| `tf_idf` | logistic regression on TF-IDF | | the sentence most like the question |
| `most_frequent_tag` | | each word's, else its ending's | |
| `word_vectors` | logistic regression on their mean | the same, on a word and its neighbours | |

No method has chance in it. The strength of logistic regression's regularisation is the one that is best on
the validation split; nothing is chosen on the test split.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prolepsis.errors import ProlepsisError
from prolepsis.text.downstream.config import SCORED_SPLITS, SPLITS, TRAIN, VALIDATION, BaselineConfig
from prolepsis.text.downstream.metrics import MAIN_METRIC, measure
from prolepsis.text.downstream.tasks import DownstreamTask, Example
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.tokenizers.sentences import sentence_boundaries
from prolepsis.text.word2vec.vectors import WordVectors, unique_names

MAJORITY, TF_IDF, MOST_FREQUENT_TAG, WORD_VECTORS = (
    "majority",
    "tf_idf",
    "most_frequent_tag",
    "word_vectors",
)
_MOST_ITERATIONS = 1000
# sklearn's own pattern knows no words of one letter, and "à" or "y" tell a language.
_WORD = r"(?u)\b\w+\b"

Predictions = dict[str, list[tuple[str, ...]]]


def run_baselines(
    task: DownstreamTask, config: BaselineConfig, vectors: WordVectors, tokenizer: Tokenizer
) -> dict[str, Predictions]:
    """What each method that suits the task says of the validation and the test split.

    Args:
        vectors, tokenizer: word vectors, and the tokenizer that they are of.
    """
    if task.kind == "question_answering":
        return {TF_IDF: most_similar_sentence(task, config)}
    embedding = TokenVectors(vectors, tokenizer)
    if task.kind == "token_tagging":
        return {
            MAJORITY: majority(task),
            MOST_FREQUENT_TAG: most_frequent_tag(task, config.suffix_letters),
            WORD_VECTORS: tag_by_vectors(task, config, embedding),
        }
    return {
        MAJORITY: majority(task),
        TF_IDF: classify_by_tf_idf(task, config),
        WORD_VECTORS: classify_by_vectors(task, config, embedding),
    }


def majority(task: DownstreamTask) -> Predictions:
    """The most frequent label of the training split, everywhere; of equal ones the first in order."""
    counts = Counter(label for example in task.splits[TRAIN] for label in example.labels)
    label = max(task.labels, key=lambda one: counts[one])
    return {
        split: [(label,) * len(example.labels) for example in task.splits[split]] for split in SCORED_SPLITS
    }


def most_frequent_tag(task: DownstreamTask, suffix_letters: int) -> Predictions:
    """The tag that a word has most often in training; of an unknown word, that of the longest known ending.

    A word is looked for as it is written, then in lower case.
    """
    by_form: defaultdict[str, Counter[str]] = defaultdict(Counter)
    by_ending: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for example in task.splits[TRAIN]:
        for word, label in zip(example.words, example.labels, strict=True):
            by_form[word][label] += 1
            by_form[word.lower()][label] += word != word.lower()
            for length in range(min(suffix_letters, len(word)) + 1):
                by_ending[word[len(word) - length :].lower()][label] += 1

    def tag(word: str) -> str:
        for form in (word, word.lower()):
            if form in by_form:
                return by_form[form].most_common(1)[0][0]
        lengths = range(min(suffix_letters, len(word)), -1, -1)
        endings = (word[len(word) - length :].lower() for length in lengths)
        known = next(ending for ending in endings if ending in by_ending)
        return by_ending[known].most_common(1)[0][0]

    return {
        split: [tuple(map(tag, example.words)) for example in task.splits[split]] for split in SCORED_SPLITS
    }


def classify_by_tf_idf(task: DownstreamTask, config: BaselineConfig) -> Predictions:
    """Logistic regression on TF-IDF of words and their sequences.

    A pair has the features of its first text, of its second, and their products.
    """
    from scipy.sparse import hstack  # type: ignore[import-untyped]

    vectorizer = _fitted_vectorizer(task, config)
    is_pair = task.kind == "sequence_pair_classification"

    def features(examples: Sequence[Example]) -> Any:
        first = vectorizer.transform([example.text for example in examples])
        if not is_pair:
            return first
        second = vectorizer.transform([example.second_text for example in examples])
        return hstack([first, second, first.multiply(second)]).tocsr()

    return _by_logistic_regression(task, config, features)


def classify_by_vectors(
    task: DownstreamTask, config: BaselineConfig, embedding: "TokenVectors"
) -> Predictions:
    """Logistic regression on the mean of a text's word vectors.

    A pair has both means, their absolute difference and their product (Conneau et al. 2017).
    """
    is_pair = task.kind == "sequence_pair_classification"

    def features(examples: Sequence[Example]) -> NDArray[np.float32]:
        first = embedding.means([example.text for example in examples])
        if not is_pair:
            return first
        second = embedding.means([example.second_text for example in examples])
        return np.concatenate([first, second, np.abs(first - second), first * second], axis=1)

    return _by_logistic_regression(task, config, features)


def tag_by_vectors(task: DownstreamTask, config: BaselineConfig, embedding: "TokenVectors") -> Predictions:
    """Logistic regression on the mean vector of a word's pieces, between those of the words beside it."""

    def features(examples: Sequence[Example]) -> NDArray[np.float32]:
        forms = sorted({word for example in examples for word in example.words})
        row = {form: number for number, form in enumerate(forms)}
        means = embedding.means(forms)
        nothing = np.zeros((1, means.shape[1]), np.float32)
        parts = []
        for example in examples:
            own = means[[row[word] for word in example.words]]
            before, after = np.concatenate([nothing, own[:-1]]), np.concatenate([own[1:], nothing])
            parts.append(np.concatenate([before, own, after], axis=1))
        return np.concatenate(parts)

    return _by_logistic_regression(task, config, features)


def most_similar_sentence(task: DownstreamTask, config: BaselineConfig) -> Predictions:
    """The sentence of the paragraph whose TF-IDF vector has the largest cosine with the question's."""
    vectorizer = _fitted_vectorizer(task, config)

    def answer(example: Example) -> tuple[str, ...]:
        starts = [*sentence_boundaries(example.text), len(example.text)]
        sentences = [example.text[start:stop].strip() for start, stop in pairwise(starts)]
        similarities = vectorizer.transform(sentences) @ vectorizer.transform([example.second_text]).T
        return (sentences[int(similarities.toarray().argmax())],)

    return {split: [answer(example) for example in task.splits[split]] for split in SCORED_SPLITS}


class TokenVectors:
    """Texts as the mean of their tokens' word vectors; a token without one is passed over."""

    def __init__(self, vectors: WordVectors, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._vectors = vectors.unit_vectors
        self._row_of = np.full(tokenizer.vocabulary_size, -1, np.int64)
        for number, token in enumerate(tokenizer.words()):
            (name,) = unique_names([token], [number])
            # Of a name that several tokens share, each one's is followed by its id.
            self._row_of[number] = vectors.rows.get(f"{name}<{number}>", vectors.rows.get(name, -1))

    def means(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[texts, dimension]; zeros for a text of which no token has a vector."""
        result = np.zeros((len(texts), self._vectors.shape[1]), np.float32)
        # In running text a word has a space before it, and byte-level tokens know that.
        for number, ids in enumerate(self._tokenizer.encode_batch([f" {text}" for text in texts])):
            rows = self._row_of[ids]
            known = rows[rows >= 0]
            if len(known):
                result[number] = self._vectors[known].mean(axis=0)
        return result


def _fitted_vectorizer(task: DownstreamTask, config: BaselineConfig) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, config.ngrams), token_pattern=_WORD)
    texts = [text for one in task.splits[TRAIN] for text in (one.text, one.second_text) if text]
    try:
        return vectorizer.fit(texts)
    except ValueError as error:  # that there is no word
        raise ProlepsisError(
            f"The training texts of the task {task.name!r} hold no word.",
            where=f"downstream.tasks.{task.name}, split {TRAIN!r}",
            remedy="give it texts of letters or digits",
        ) from error


def _by_logistic_regression(
    task: DownstreamTask, config: BaselineConfig, features: Callable[[Sequence[Example]], Any]
) -> Predictions:
    """Fits one regression for each strength of regularisation and keeps the best on validation.

    Features have a row for each label: of an example, or of each of its words.
    """
    from sklearn.linear_model import LogisticRegression

    train = [label for example in task.splits[TRAIN] for label in example.labels]
    inputs = {split: features(task.splits[split]) for split in SPLITS}
    truth = [example.labels for example in task.splits[VALIDATION]]
    scored: list[tuple[float, Predictions]] = []
    for strength in config.regularisation:
        model = LogisticRegression(C=strength, max_iter=_MOST_ITERATIONS).fit(inputs[TRAIN], train)
        predictions = {
            split: _regrouped(model.predict(inputs[split]), task.splits[split]) for split in SCORED_SPLITS
        }
        score = measure(task.kind, truth, predictions[VALIDATION])[MAIN_METRIC[task.kind]]
        scored.append((score, predictions))
    return max(scored, key=lambda pair: pair[0])[1]


def _regrouped(labels: Sequence[str], examples: Sequence[Example]) -> list[tuple[str, ...]]:
    """Labels in a row as those of each example."""
    ends = np.cumsum([len(example.labels) for example in examples])
    return [tuple(map(str, part)) for part in np.split(np.asarray(labels), ends[:-1])]
