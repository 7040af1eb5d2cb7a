import polars as pl

from prolepsis.text.corpus.filters.rules import Rule, apply_rules

DOCUMENTS = pl.DataFrame({"text": ["a", "b", "c", "d"]})


def test_the_first_rule_that_drops_a_document_gives_reason_and_score() -> None:
    measures = pl.DataFrame({"length": [1, 5, 9, None], "share": [0.9, 0.9, 0.1, 0.9]})
    rules = [
        Rule.below("short", pl.col("length"), 2),
        Rule("odd", pl.lit(None), pl.col("length") == 5),
        Rule.above("full", pl.col("share"), 0.5),
    ]

    judged = apply_rules(DOCUMENTS, measures, rules)

    assert judged["reason"].to_list() == ["short", "odd", None, "full"]
    assert judged["score"].to_list() == [1, None, None, 0.9]


def test_a_figure_on_the_threshold_drops_nothing() -> None:
    measures = pl.DataFrame({"length": [2, 3, 2, 3]})
    rules = [Rule.below("short", pl.col("length"), 2), Rule.above("long", pl.col("length"), 3)]

    assert apply_rules(DOCUMENTS, measures, rules)["reason"].to_list() == [None] * 4


def test_a_share_of_nothing_drops_nothing() -> None:
    measures = pl.DataFrame({"found": [0, 0, 1, 1], "all": [0, 0, 1, 1]})
    share = pl.col("found") / pl.col("all")
    rules = [Rule.above("much", share, 1), Rule.below("little", share, 1)]

    assert apply_rules(DOCUMENTS, measures, rules)["reason"].to_list() == [None] * 4
