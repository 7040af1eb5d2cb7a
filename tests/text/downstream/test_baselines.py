"""The simple methods are what they say, and the test split chooses nothing in them."""

from dataclasses import replace

import numpy as np
import pytest

from prolepsis.errors import ProlepsisError
from prolepsis.text.downstream.baselines import (
    TokenVectors,
    classify_by_tf_idf,
    majority,
    most_frequent_tag,
    most_similar_sentence,
    run_baselines,
)
from prolepsis.text.downstream.config import SPLITS, BaselineConfig
from prolepsis.text.downstream.metrics import measure
from prolepsis.text.downstream.tasks import DownstreamTask, Example, make_task
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.word2vec.vectors import WordVectors, unique_names

from .conftest import classes, pairs, questions, tags


def tagged(*sentences: str) -> list[Example]:
    """`word/TAG word/TAG` as examples."""
    parts = [[word.split("/") for word in one.split()] for one in sentences]
    return [
        Example(f"row {n}", tuple(tag for _, tag in words), words=tuple(word for word, _ in words))
        for n, words in enumerate(parts)
    ]


@pytest.fixture(scope="module")
def vectors(byte_bpe: Tokenizer) -> WordVectors:
    names = unique_names(byte_bpe.words(), range(byte_bpe.vocabulary_size))
    numbers = np.random.default_rng(0).normal(size=(len(names), 32)).astype(np.float32)
    return WordVectors(names, np.arange(len(names), 0, -1), [None] * len(names), numbers)


def test_the_majority_is_said_of_everything() -> None:
    task = make_task(
        "t",
        "token_tagging",
        {
            "train": tagged("a/N b/N c/V"),
            "validation": tagged("a/V"),
            "test": tagged("x/V y/V z/V", "a/N"),
        },
    )
    assert majority(task)["test"] == [("N", "N", "N"), ("N",)]


def test_a_word_has_its_most_frequent_tag_and_an_unknown_one_that_of_its_ending() -> None:
    train = tagged("run/V run/V run/N The/D Running/V jumping/V thing/N walked/V king/N")
    task = make_task(
        "t",
        "token_tagging",
        {
            "train": train,
            "validation": tagged("run/V"),
            "test": tagged("run/V the/D THE/D singing/V string/N talked/V xyz/N"),
        },
    )
    # -ing: two verbs, two nouns, the verb seen first; -ring and -inging are not known; xyz: all words' tag.
    assert most_frequent_tag(task, suffix_letters=3)["test"] == [("V", "D", "D", "V", "V", "V", "V")]
    assert most_frequent_tag(task, suffix_letters=0)["test"][0][3:] == ("V",) * 4


def test_tf_idf_is_scikit_learn_s_with_the_strength_that_validation_likes() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    task = classes()
    texts = {split: [one.text for one in examples] for split, examples in task.splits.items()}
    labels = {split: [one.labels[0] for one in examples] for split, examples in task.splits.items()}
    best, expected = -1.0, None
    for strength in (0.01, 1.0, 100.0):
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b")
        model = make_pipeline(vectorizer, LogisticRegression(C=strength, max_iter=1000))
        model.fit(texts["train"], labels["train"])
        if (score := model.score(texts["validation"], labels["validation"])) > best:
            best, expected = score, model.predict(texts["test"])
    said = classify_by_tf_idf(task, BaselineConfig(regularisation=(0.01, 1.0, 100.0)))
    assert [one[0] for one in said["test"]] == list(expected)


def test_texts_without_a_word_are_told() -> None:
    task = classes()
    bare = {split: [replace(example, text="!!! ???") for example in task.splits[split]] for split in SPLITS}
    with pytest.raises(ProlepsisError, match="hold no word"):
        classify_by_tf_idf(make_task("t", task.kind, bare), BaselineConfig())


@pytest.mark.parametrize(
    ("make", "methods"),
    [
        (classes, ["majority", "tf_idf", "word_vectors"]),
        (pairs, ["majority", "tf_idf", "word_vectors"]),
        (tags, ["majority", "most_frequent_tag", "word_vectors"]),
        (questions, ["tf_idf"]),
    ],
)
def test_each_kind_of_task_has_its_methods_and_the_test_split_chooses_nothing(
    make, methods: list[str], vectors: WordVectors, byte_bpe: Tokenizer
) -> None:
    task: DownstreamTask = make()
    said = run_baselines(task, BaselineConfig(), vectors, byte_bpe)
    assert list(said) == methods
    for predictions in said.values():
        for split in ("validation", "test"):
            lengths = [len(one.words) or 1 for one in task.splits[split]]
            assert [len(one) for one in predictions[split]] == lengths
    if task.labels:
        other = [replace(one, labels=one.labels[::-1][:1] * len(one.labels)) for one in task.splits["test"]]
        relabelled = replace(task, splits={**task.splits, "test": other})
        assert run_baselines(relabelled, BaselineConfig(), vectors, byte_bpe) == said


def test_tags_and_classes_are_learnt_from_word_vectors(vectors: WordVectors, byte_bpe: Tokenizer) -> None:
    for make, least in ((classes, 0.7), (tags, 0.9)):
        task = make()
        said = run_baselines(task, BaselineConfig(), vectors, byte_bpe)["word_vectors"]["test"]
        truth = [one.labels for one in task.splits["test"]]
        assert measure(task.kind, truth, said)["accuracy"] >= least


def test_a_text_is_the_mean_of_its_tokens_vectors(vectors: WordVectors, byte_bpe: Tokenizer) -> None:
    text = "bara kiso 日本"
    (ids,) = byte_bpe.encode_batch([f" {text}"])
    # All ids have a vector here, in the order of the ids, those that share a name as well.
    expected = vectors.unit_vectors[ids].mean(axis=0)
    np.testing.assert_allclose(TokenVectors(vectors, byte_bpe).means([text])[0], expected, rtol=1e-5)
    few = WordVectors(vectors.words[-5:], vectors.counts[-5:], vectors.languages[-5:], vectors.vectors[-5:])
    assert not TokenVectors(few, byte_bpe).means(["日本"]).any()


def test_the_sentence_most_like_the_question_is_the_answer() -> None:
    text = "Rivers run to the sea. The king lives in a castle! Birds fly south."
    example = Example(
        "x", ("castle",), text, "Where does the king live, in which castle?", answer_starts=(43,)
    )
    task = DownstreamTask("t", "question_answering", (), {split: [example] for split in SPLITS})
    assert most_similar_sentence(task, BaselineConfig())["test"] == [("The king lives in a castle!",)]
