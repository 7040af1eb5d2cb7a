import polars as pl
import pytest
from pydantic import ValidationError

from prolepsis.text.corpus.mixture import Mixture, MixtureConfig


def corpus(**counts: int) -> pl.DataFrame:
    """As many documents of 100 bytes of each language."""
    languages = [language for language, count in counts.items() for _ in range(count)]
    return pl.DataFrame({"language": languages}).select(
        number=pl.int_range(len(languages), dtype=pl.UInt64),
        id=pl.int_range(len(languages)).cast(pl.String),
        source=pl.lit("news/") + pl.col("language") + pl.lit(".txt"),
        language="language",
        text=pl.lit("x" * 100),
    )


def mixed(documents: pl.DataFrame, **config: object) -> pl.DataFrame:
    plugin = Mixture(MixtureConfig.model_validate(config))
    observed = pl.concat([plugin.observe(batch) for batch in documents.iter_slices(70)])
    return plugin.judge(documents, pl.concat(list(plugin.conclude(observed.lazy()))))


def counts(judged: pl.DataFrame) -> dict[str, int]:
    kept = judged.filter(pl.col("reason").is_null())
    return dict(kept.group_by("language").len().sort("language").iter_rows())


def test_the_scarcest_part_is_taken_whole_and_the_others_in_proportion() -> None:
    judged = mixed(corpus(en=4000, fr=500, de=3000), weights={"en": 2, "fr": 1, "de": 1})

    found = counts(judged)
    assert found["fr"] == 500
    assert found["en"] == pytest.approx(1000, abs=100)
    assert found["de"] == pytest.approx(500, abs=80)
    dropped = judged.filter(pl.col("reason").is_not_null())
    assert dropped["reason"].unique().to_list() == ["not_sampled"]
    assert dropped.filter(language="en")["score"].unique().to_list() == [0.25]


def test_parts_without_a_weight_are_not_in_the_mixture() -> None:
    judged = mixed(corpus(en=10, xx=5, fr=10), weights={"en": 1, "fr": 0})

    assert counts(judged) == {"en": 10}
    reasons = judged.filter(pl.col("language") != "en").select("language", "reason").unique().sort("language")
    assert reasons.rows() == [("fr", "not_sampled"), ("xx", "not_in_mixture")]


def test_sources_are_told_by_patterns_of_which_the_first_counts() -> None:
    judged = mixed(corpus(en=100, fr=400), by="source", weights={"news/fr*": 1, "news/*": 1})

    assert counts(judged)["en"] == 100
    assert counts(judged)["fr"] == pytest.approx(100, abs=35)


def test_the_sample_depends_on_the_seed_alone() -> None:
    documents = corpus(en=400, fr=100)
    config = {"weights": {"en": 1, "fr": 1}}

    first, again, other = (mixed(documents, **config, seed=seed)["reason"] for seed in (0, 0, 1))

    assert first.equals(again, null_equal=True)
    assert not first.equals(other, null_equal=True)


def test_a_wanted_part_that_the_corpus_lacks_changes_nothing() -> None:
    assert counts(mixed(corpus(en=20, fr=20), weights={"en": 1, "fr": 1, "de": 3})) == {"en": 20, "fr": 20}


def test_a_mixture_needs_weights() -> None:
    with pytest.raises(ValidationError, match="weights"):
        MixtureConfig.model_validate({"weights": {}})
    with pytest.raises(ValidationError, match="weights"):
        MixtureConfig.model_validate({"weights": {"en": -1}})
