"""Small tasks of made-up words, a tokenizer that knows them, and an encoder that has learnt nothing."""

import numpy as np
import pytest
import torch

from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.heads import BertForPretraining
from prolepsis.text.bert.hugging_face import PretrainedBert
from prolepsis.text.downstream.config import SPLITS, Kind
from prolepsis.text.downstream.tasks import DownstreamTask, Example, make_task
from prolepsis.text.tokenizers import Tokenizer
from prolepsis.text.tokenizers.byte_bpe import ByteLevelBytePairTrainer
from prolepsis.text.tokenizers.wordpiece import WordPieceTrainer

WORDS = [f"{a}{b}{c}" for a in ("ba", "do", "ki", "lu") for b in ("ra", "ne", "so") for c in ("", "mi")]
SIZES = {"train": 96, "validation": 24, "test": 24}


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return WordPieceTrainer(WordPieceTrainer.Config(vocabulary_size=60)).train([texts()])


@pytest.fixture(scope="session")
def byte_bpe() -> Tokenizer:
    trainer = ByteLevelBytePairTrainer(ByteLevelBytePairTrainer.Config(vocabulary_size=300))
    return trainer.train([texts()])


@pytest.fixture(scope="session")
def pretrained(tokenizer: Tokenizer) -> PretrainedBert:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.vocabulary_size,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    return PretrainedBert.of(BertForPretraining(config), tokenizer)


def texts() -> list[str]:
    random = np.random.default_rng(0)
    return [" ".join(random.choice(WORDS, size=8)) + "." for _ in range(200)]


def sentence(random: np.random.Generator) -> list[str]:
    return [str(word) for word in random.choice(WORDS, size=random.integers(2, 9))]


def classes(seed: int = 0) -> DownstreamTask:
    """Whether a sentence has a word that begins with ki."""
    return _task("classes", "sequence_classification", seed)


def pairs(seed: int = 0) -> DownstreamTask:
    """Whether two sentences begin with the same word."""
    return _task("pairs", "sequence_pair_classification", seed)


def tags(seed: int = 0) -> DownstreamTask:
    """The first two letters of each word."""
    return _task("tags", "token_tagging", seed)


def questions(seed: int = 0) -> DownstreamTask:
    """The answer is the one word that begins with ki."""
    return _task("questions", "question_answering", seed)


def _task(name: str, kind: Kind, seed: int) -> DownstreamTask:
    random = np.random.default_rng(seed)
    splits = {
        split: [_example(kind, f"{split} {n}", random) for n in range(SIZES[split])] for split in SPLITS
    }
    return make_task(name, kind, splits)


def _example(kind: Kind, source: str, random: np.random.Generator) -> Example:
    words = sentence(random)
    if kind == "sequence_classification":
        has_it = random.random() < 0.5
        kept = [word for word in words if not word.startswith("ki")]
        words = [*kept, "kira"] if has_it else [*kept, "bara"]
        return Example(source, ("yes" if has_it else "no",), text=" ".join(random.permutation(words)))
    if kind == "sequence_pair_classification":
        other = sentence(random)
        same = random.random() < 0.5
        other[0] = words[0] if same else next(word for word in WORDS if word != words[0])
        label = "same" if same else "other"
        return Example(source, (label,), text=" ".join(words), second_text=" ".join(other))
    if kind == "token_tagging":
        return Example(source, tuple(word[:2] for word in words), words=tuple(words))
    chosen = [str(word) for word in random.choice(WORDS, size=6) if not word.startswith("ki")]
    place = int(random.integers(0, len(chosen) + 1))
    answer = str(random.choice([word for word in WORDS if word.startswith("ki")]))
    text = " ".join([*chosen[:place], answer, *chosen[place:]])
    start = sum(len(word) + 1 for word in chosen[:place])
    return Example(source, (answer,), text, "ki", answer_starts=(start,))
