"""The figures agree with scikit-learn's and with SQuAD's rules."""

import numpy as np
import pytest

from prolepsis.text.downstream.metrics import NOTHING, answer_f1, measure, normalised_answer, per_class


def random_labels(names: list[str], count: int, seed: int) -> list[tuple[str, ...]]:
    return [(str(one),) for one in np.random.default_rng(seed).choice(names, size=count)]


@pytest.mark.parametrize("names", [["no", "yes"], ["a", "b", "c", "d"]])
def test_figures_of_classes_are_those_of_scikit_learn(names: list[str]) -> None:
    from sklearn import metrics

    truth, said = random_labels(names, 300, 0), random_labels(names, 300, 1)
    said[:150] = truth[:150]
    figures = measure("sequence_classification", truth, said)
    t, s = [one[0] for one in truth], [one[0] for one in said]
    assert figures["accuracy"] == pytest.approx(metrics.accuracy_score(t, s))
    assert figures["macro_f1"] == pytest.approx(metrics.f1_score(t, s, average="macro"))
    assert ("matthews" in figures) == (len(names) == 2)
    if len(names) == 2:
        assert figures["matthews"] == pytest.approx(metrics.matthews_corrcoef(t, s))
    table = per_class(truth, said)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(t, s, labels=names)
    assert table["label"].to_list() == names
    np.testing.assert_allclose(table["precision"], precision)
    np.testing.assert_allclose(table["recall"], recall)
    np.testing.assert_allclose(table["f1"], f1)
    assert table["support"].to_list() == support.tolist()


def test_a_label_that_is_never_said_counts_in_the_macro_mean_as_in_scikit_learn() -> None:
    from sklearn.metrics import f1_score

    truth, said = [("a",), ("b",), ("a",), ("c",)], [("a",), ("d",), ("a",), ("a",)]
    expected = f1_score(["a", "b", "a", "c"], ["a", "d", "a", "a"], average="macro")
    assert measure("sequence_classification", truth, said)["macro_f1"] == pytest.approx(expected)
    never = per_class(truth, said).filter(label="b").row(0, named=True)
    assert (never["precision"], never["recall"], never["f1"]) == (None, 0.0, 0.0)


def test_one_answer_for_all_has_no_correlation() -> None:
    truth, said = [("a",), ("b",), ("a",)], [("a",)] * 3
    assert measure("sequence_classification", truth, said)["matthews"] == 0.0


def test_tagging_is_measured_over_words_and_a_word_without_a_tag_is_wrong() -> None:
    truth = [("N", "V", "N"), ("D",)]
    said = [("N", "V", NOTHING), ("N",)]
    figures = measure("token_tagging", truth, said)
    assert figures["accuracy"] == 0.5
    # N: 1 of 2 found, 2 said; V: all; D: none. The missing tag is no class of its own.
    assert figures["macro_f1"] == pytest.approx((0.5 + 1.0 + 0.0) / 3)
    assert NOTHING not in per_class(truth, said)["label"].to_list()


def test_answers_are_compared_as_squad_does() -> None:
    assert normalised_answer("The  Eiffel-Tower, (an) icon") == "eiffeltower icon"
    assert answer_f1("the red house", "a red big house!") == pytest.approx(0.8)
    assert answer_f1("red", "blue") == 0.0
    truth = [("Paris", "the city of Paris"), ("1999",)]
    figures = measure("question_answering", truth, [("city of paris.",), ("in 1999",)])
    assert figures["exact_match"] == 0.5
    assert figures["f1"] == pytest.approx((1.0 + 2 / 3) / 2)
