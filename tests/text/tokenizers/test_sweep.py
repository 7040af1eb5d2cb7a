from typing import Any

import numpy as np
import polars as pl
import pytest

from prolepsis import plugins
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.tokenizers.byte_bpe import ByteLevelBytePairTrainer
from prolepsis.text.tokenizers.evaluation import evaluate
from prolepsis.text.tokenizers.sweep import SWEEP_SCHEMA, draw_sweep, sweep
from prolepsis.text.tokenizers.trainer import WordTrainer

BytePairConfig = ByteLevelBytePairTrainer.Config


def trainer_of(name: str) -> WordTrainer:
    group = "prolepsis.tokenizers"
    trainer: WordTrainer = plugins.load(group, name)(plugins.configure(group, name, {}))
    return trainer


@pytest.fixture
def documents(sentences: list[str]) -> pl.DataFrame:
    languages = ["en", "fr", "es", "zh", "ru", "en"]
    return pl.DataFrame({"text": sentences, "language": languages})


@pytest.fixture
def table(sentences: list[str], documents: pl.DataFrame) -> pl.DataFrame:
    trainers = {name: trainer_of(name) for name in ("byte_bpe", "wordpiece", "unigram")}
    return sweep(trainers, [sentences * 20], iter([documents]), sizes=(300, 350, 5_000))


def test_a_row_for_each_tokenizer_size_and_language(table: pl.DataFrame) -> None:
    assert table.schema == pl.Schema(SWEEP_SCHEMA)
    keys = table.select("tokenizer", "vocabulary_size", "language")
    assert keys.is_unique().all()
    assert table.height == 3 * 3 * 6
    assert table["num_ids"].to_list() == [
        min(own) for own in table.select("vocabulary_size", "num_ids").rows()
    ]
    large = table.filter(pl.col("vocabulary_size") == 5_000)
    assert (large["num_ids"] < 5_000).all()  # so short a text does not give as many


def test_the_figures_are_those_of_tokenizers_trained_alone(
    table: pl.DataFrame, sentences: list[str], documents: pl.DataFrame
) -> None:
    group = "prolepsis.tokenizers"
    config = plugins.configure(group, "wordpiece", {"vocabulary_size": 350})
    alone = evaluate(plugins.load(group, "wordpiece")(config).train([sentences * 20]), [documents])
    rows = table.filter((pl.col("tokenizer") == "wordpiece") & (pl.col("vocabulary_size") == 350))
    assert rows.drop("tokenizer", "vocabulary_size", "num_ids").equals(alone)


def test_larger_vocabularies_take_fewer_tokens(table: pl.DataFrame) -> None:
    overall = table.filter(pl.col("language") == "all").sort("tokenizer", "vocabulary_size")
    for _, rows in overall.group_by("tokenizer"):
        assert rows["num_tokens"].to_list() == sorted(rows["num_tokens"], reverse=True)


def test_a_trainer_that_does_not_count_words_is_trained_anew_for_each_size(
    sentences: list[str], documents: pl.DataFrame
) -> None:
    class Anew:
        """As a package of one's own may have it."""

        Config = BytePairConfig

        def __init__(self, config: BytePairConfig) -> None:
            self.config = config

        def train(self, batches: Any) -> Tokenizer:
            return ByteLevelBytePairTrainer(self.config).train(batches)

    trainers = {"mine": Anew(BytePairConfig()), "byte_bpe": trainer_of("byte_bpe")}
    table = sweep(trainers, [sentences * 20], iter([documents]), sizes=(300, 350))

    mine, byte_bpe = (table.filter(tokenizer=name).drop("tokenizer") for name in trainers)
    assert mine.equals(byte_bpe)


def test_the_picture_has_a_panel_for_each_language_and_a_line_for_each_tokenizer(table: pl.DataFrame) -> None:
    figure = draw_sweep(table)
    panels = figure.axes
    assert len(panels) == 2 * 6
    assert [axes.get_title(loc="left") for axes in panels[:6]] == [
        "all languages",
        "en",
        "es",
        "fr",
        "ru",
        "zh",
    ]
    own = table.filter((pl.col("tokenizer") == "unigram") & (pl.col("language") == "fr"))
    line = next(line for line in panels[3].get_lines() if line.get_label() == "unigram")
    assert np.array_equal(np.asarray(line.get_ydata()), own["fertility"].to_numpy())
    assert [label.get_text() for label in panels[6].get_xticklabels()] == ["300", "350", "5k"]


def test_one_language_is_drawn_once(table: pl.DataFrame) -> None:
    figure = draw_sweep(table.filter(pl.col("language").is_in(["all", "en"])))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["en", ""]
