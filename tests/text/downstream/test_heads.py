"""From text to tokens and back: words and characters are found again exactly."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prolepsis.errors import ProlepsisError
from prolepsis.text.downstream.config import FineTuningConfig
from prolepsis.text.downstream.heads import build_head
from prolepsis.text.downstream.heads.answers import best_span
from prolepsis.text.downstream.heads.sequences import cut_pair
from prolepsis.text.downstream.heads.tagging import first_tokens
from prolepsis.text.downstream.metrics import NOTHING
from prolepsis.text.downstream.rows import collate
from prolepsis.text.downstream.tasks import Example
from prolepsis.text.tokenizers import Tokenizer

from .conftest import questions, tags


def test_a_pair_is_one_row_with_two_types(tokenizer: Tokenizer) -> None:
    head = build_head("sequence_pair_classification", tokenizer, FineTuningConfig(), ["a", "b"])
    (row,) = head.rows([Example("x", ("b",), text="bara done", second_text="kiso")])
    special = tokenizer.special_ids
    first, second = (len(ids) for ids in tokenizer.encode_batch(["bara done", "kiso"]))
    assert row.token_ids[0] == special["cls"]
    assert [row.token_ids[first + 1], row.token_ids[-1]] == [special["sep"]] * 2
    assert (len(row), row.second_start) == (first + second + 3, first + 2)
    assert row.targets.tolist() == [1]


@given(st.integers(0, 30), st.integers(0, 30), st.integers(2, 40))
def test_the_longer_of_a_pair_is_cut_token_by_token(first: int, second: int, room: int) -> None:
    lengths = [first, second]
    while sum(lengths) > room:
        lengths[0 if lengths[0] > lengths[1] else 1] -= 1
    kept = cut_pair(np.arange(first), np.arange(second), room)
    assert [len(part) for part in kept] == lengths
    assert all(part.tolist() == list(range(len(part))) for part in kept)


def test_a_long_text_is_cut_at_its_end(tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture) -> None:
    head = build_head("sequence_classification", tokenizer, FineTuningConfig(max_length=8), ["a", "b"])
    rows = head.rows([Example("x", ("a",), text="bara " * 30), Example("y", ("a",), text="bara")])
    assert [len(row) <= 8 for row in rows] == [True, True]
    assert "1 of 2 texts are longer than a row" in caplog.text


@pytest.mark.parametrize("name", ["tokenizer", "byte_bpe"])
@pytest.mark.parametrize("words", [["bara", "(", "domi", ")", "."], ["Ünïcode", "日本語", "x"], ["a b", "c"]])
def test_the_first_token_of_each_word_is_found(
    name: str, words: list[str], request: pytest.FixtureRequest
) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(name)
    text = " ".join(words)
    (encoding,) = tokenizer.encode_batch_with_offsets([text])
    starts = np.cumsum([0] + [len(word) + 1 for word in words])[:-1]
    found = first_tokens(words, encoding.offsets)
    for word, start, token in zip(words, starts, found, strict=True):
        # The first token that has a character of the word.
        has_some = [
            bool(set(range(begin, end)) & set(range(start, start + len(word))))
            for begin, end in encoding.offsets
        ]
        assert token == has_some.index(True)


def test_a_word_of_which_the_tokenizer_leaves_nothing_has_no_token(tokenizer: Tokenizer) -> None:
    words = ["bara", "\u200b\u0007", "kiso"]
    (encoding,) = tokenizer.encode_batch_with_offsets([" ".join(words)])
    first = first_tokens(words, encoding.offsets)
    assert first[1] == -1
    assert first[2] > first[0] >= 0
    head = build_head("token_tagging", tokenizer, FineTuningConfig(), ["N", "V"])
    example = Example("x", ("N", "V", "N"), words=tuple(words))
    rows = head.rows([example])
    said = head.decode(rows, [np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)], [example])
    assert said == [("V", NOTHING, "N")]


@pytest.mark.parametrize("stride", [None, 1, 5])
def test_each_word_of_a_long_sentence_is_asked_for_once(tokenizer: Tokenizer, stride: int | None) -> None:
    config = FineTuningConfig(max_length=12, stride=stride)
    head = build_head("token_tagging", tokenizer, config, tags().labels)
    words = tuple(tags().splits["train"][0].words) * 7
    example = Example("x", tuple(word[:2] for word in words), words=words)
    rows = head.rows([example])
    assert len(rows) > 3
    assert all(len(row) <= 12 for row in rows)
    assert sorted(np.concatenate([row.origin for row in rows])) == list(range(len(words)))
    # What a head that is always right would say comes back as the labels.
    right = [np.eye(len(tags().labels), dtype=np.float32)[row.targets] for row in rows]
    assert head.decode(rows, right, [example]) == [example.labels]


def test_answers_of_a_head_that_is_always_right_are_found_in_all_windows(tokenizer: Tokenizer) -> None:
    config = FineTuningConfig(max_length=20, max_question_tokens=6, max_answer_tokens=8)
    head = build_head("question_answering", tokenizer, config, ())
    long = [
        Example(
            one.source, one.labels, "lura " * 40 + one.text + " neso" * 40, one.second_text,
            answer_starts=(one.answer_starts[0] + 200,),
        )
        for one in questions().splits["test"]
    ]  # fmt: skip
    for examples in (list(questions().splits["test"]), long):
        rows = head.rows(examples)
        outputs = []
        for row in rows:
            logits = np.zeros((len(row), 2), np.float32)
            logits[row.targets[0], 0] = logits[row.targets[1], 1] = 9.0
            outputs.append(logits)
        assert head.decode(rows, outputs, examples) == [one.labels for one in examples]


def test_a_window_without_the_whole_answer_points_at_cls(tokenizer: Tokenizer) -> None:
    config = FineTuningConfig(max_length=16, max_question_tokens=4)
    head = build_head("question_answering", tokenizer, config, ())
    text = "lura " * 30 + "kiso"
    rows = head.rows([Example("x", ("kiso",), text, "lura", answer_starts=(150,))])
    assert [row.targets.tolist() == [0, 0] for row in rows[:2]] == [True, True]
    assert rows[-1].targets.tolist() != [0, 0]


def test_the_best_span_is_that_of_a_search_through_all() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        length, longest = int(random.integers(4, 30)), int(random.integers(1, 6))
        logits = random.normal(size=(length, 2)).astype(np.float32)
        spans = np.zeros((length, 3), np.int64)
        spans[:2, 0] = -1
        spans[:, 2] = random.integers(0, 2, size=length)
        sums = {
            (start, end): float(logits[start, 0]) + float(logits[end, 1])
            for start in range(2, length)
            for end in range(start, min(start + longest, length))
            if spans[start, 2]
        }
        start, end, score = best_span(logits, spans, longest)
        if not sums:
            assert score == -np.inf
        else:
            assert score == pytest.approx(max(sums.values()))
            assert sums[start, end] == pytest.approx(score)


def test_padding_does_not_change_what_is_said_of_a_row(tokenizer: Tokenizer, pretrained) -> None:
    for kind, labels in (("sequence_classification", ["a", "b"]), ("token_tagging", ["a", "b"])):
        for pooling in ("cls", "mean"):
            config = FineTuningConfig(pooling=pooling)
            head = build_head(kind, tokenizer, config, labels)
            module = head.build_model(pretrained.encoder).eval()
            texts = ["bara", "lurami kiso dono bara neso"]
            examples = [Example("x", (), text=text, words=tuple(text.split())) for text in texts]
            rows = head.rows(examples)
            pad = tokenizer.special_ids["pad"]
            with torch.no_grad():
                together = head.split(module(collate(rows, pad)), collate(rows, pad))
                alone = [module(collate([row], pad)).reshape(one.shape) for row, one in zip(rows, together, strict=True)]  # fmt: skip # noqa: E501
            for one, other in zip(together, alone, strict=True):
                torch.testing.assert_close(one, other)


def test_a_tokenizer_without_cls_is_refused(byte_bpe: Tokenizer) -> None:
    bare = Tokenizer(byte_bpe.definition, byte_bpe.plugin, byte_bpe.config, {})
    with pytest.raises(ProlepsisError, match="lacks: cls, sep, pad"):
        build_head("sequence_classification", bare, FineTuningConfig(), ["a", "b"])


def test_rows_without_room_for_a_paragraph_are_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(ProlepsisError, match="no room for a paragraph"):
        build_head("question_answering", tokenizer, FineTuningConfig(max_length=64), ())
