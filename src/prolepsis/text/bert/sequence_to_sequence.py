"""Corrupt a text, let a decoder reconstruct it: what MASS, BART and T5 share.

Rows of corrupted texts (sources) have one fixed length, rows of what is to be reconstructed (targets)
another. The examples of a source row are those of the target row of the same number, and no token sees one of
another example, neither in the encoder nor in the decoder.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from prolepsis.errors import ProlepsisError
from prolepsis.text.bert.attention import block_attention_mask
from prolepsis.text.bert.config import BertConfig
from prolepsis.text.bert.decoder import Decoder, TiedOutput
from prolepsis.text.bert.model import BertEncoder, initialise
from prolepsis.text.bert.objective import Measures
from prolepsis.text.bert.objectives.masked import accuracy, cross_entropy, require_special_tokens
from prolepsis.text.bert.packed import joined
from prolepsis.text.bert.packing import PackedRows
from prolepsis.text.token_shards import TokenSplit
from prolepsis.text.tokenizers import Tokenizer

# Streams of random numbers that must not repeat one another.
_ROW_ORDER, _CORRUPTION = 0, 1
# Rows looked at for each amount of room, when pairs are packed.
_CHAIN_DEPTH = 16
# The example number of source tokens that the decoder may not look at: no target has it.
_HIDDEN = -2


class SequencePair(NamedTuple):
    """A corrupted text and its reconstruction.

    Attributes:
        source_ids: what the encoder reads, int64 [source length].
        is_visible: which of the encoder's vectors the decoder may look at, bool [source length].
        decoder_ids: what the decoder reads: before each target token the one that precedes it, int64
            [target length].
        decoder_positions: where these tokens stand, int64 [target length].
        target_ids: what the decoder is to predict, int64 [target length].
    """

    source_ids: NDArray[np.int64]
    is_visible: NDArray[np.bool_]
    decoder_ids: NDArray[np.int64]
    decoder_positions: NDArray[np.int64]
    target_ids: NDArray[np.int64]

    @classmethod
    def whole(cls, source_ids: NDArray[np.int64], target_ids: NDArray[np.int64], start_id: int) -> Self:
        """The decoder writes the whole target from `start_id` on, and may look at the whole source."""
        return cls(
            source_ids=source_ids,
            is_visible=np.ones(len(source_ids), np.bool_),
            decoder_ids=np.concatenate([(start_id,), target_ids[:-1]]).astype(np.int64),
            decoder_positions=np.arange(len(target_ids)),
            target_ids=target_ids,
        )


class SequencePairs(Protocol):
    """The examples of one pass over a split."""

    @property
    def source_lengths(self) -> NDArray[np.int64]:
        """Tokens of each source, int64 [N], special ones included."""
        ...

    @property
    def target_lengths(self) -> NDArray[np.int64]:
        """Tokens to be predicted for each, int64 [N]."""
        ...

    def pair(self, number: int, random: np.random.Generator) -> SequencePair:
        """Example `number`, corrupted as `random` will have it, with the lengths that were announced."""
        ...


@dataclass(frozen=True)
class SequenceToSequenceBatch:
    """Rows of packed sources and of their targets.

    Attributes:
        token_ids, positions: of the sources, int64 [rows, source length].
        example_numbers: int64 [rows, source length], from 0 in each row; -1 on padding.
        visible_numbers: the same, but below -1 on what the decoder may not look at.
        decoder_ids, decoder_positions: int64 [rows, target length].
        decoder_numbers: the examples that these belong to, int64 [rows, target length]; -1 on padding.
        masked_positions: int64 [M], where the decoder has something to predict, counted through all rows.
        masked_targets: int64 [M], what that is.
    """

    token_ids: Tensor
    positions: Tensor
    example_numbers: Tensor
    visible_numbers: Tensor
    decoder_ids: Tensor
    decoder_positions: Tensor
    decoder_numbers: Tensor
    masked_positions: Tensor
    masked_targets: Tensor

    def to(self, device: torch.device) -> Self:
        return type(self)(
            **{field.name: getattr(self, field.name).to(device, non_blocking=True) for field in fields(self)}
        )

    @property
    def num_real_tokens(self) -> int:
        """Source tokens that are not padding; those that the decoder reads are not counted."""
        return int((self.example_numbers >= 0).sum())

    @property
    def num_target_tokens(self) -> int:
        """Tokens to be predicted."""
        return len(self.masked_targets)


@dataclass(frozen=True)
class SequenceToSequencePlan:
    """One pass over a split: examples packed into rows, and the order in which the rows are used.

    How an example is corrupted depends on (seed, pass, the example's number) alone, so a batch can be made
    anywhere at any time.
    """

    pairs: SequencePairs
    packed: PackedRows
    order: NDArray[np.int64]
    source_length: int
    target_length: int
    pad_id: int
    seed: int
    pass_index: int

    @classmethod
    def of(
        cls,
        pairs: SequencePairs,
        *,
        source_length: int,
        target_length: int,
        pad_id: int,
        seed: int,
        pass_index: int,
    ) -> Self:
        packed = pack_pairs(pairs.source_lengths, pairs.target_lengths, source_length, target_length)
        order = np.random.default_rng((seed, pass_index, _ROW_ORDER)).permutation(len(packed))
        return cls(pairs, packed, order, source_length, target_length, pad_id, seed, pass_index)

    def __len__(self) -> int:
        return len(self.packed)

    @property
    def num_real_tokens(self) -> int:
        """Source tokens of all rows that are not padding."""
        return int(self.pairs.source_lengths.sum())

    def batch(self, rows: NDArray[np.int64]) -> SequenceToSequenceBatch:
        source_shape, target_shape = (len(rows), self.source_length), (len(rows), self.target_length)
        token_ids, positions = np.full(source_shape, self.pad_id), np.zeros(source_shape, np.int64)
        numbers, visible = np.full(source_shape, -1), np.full(source_shape, -1)
        decoder_ids, decoder_positions = np.full(target_shape, self.pad_id), np.zeros(target_shape, np.int64)
        decoder_numbers = np.full(target_shape, -1)
        targets = []
        for row, planned_row in enumerate(self.order[rows]):
            start, target_start = 0, 0
            for number, example in enumerate(self.packed.row(planned_row)):
                pair = self.pair(int(example))
                place = slice(start, start + len(pair.source_ids))
                token_ids[row, place] = pair.source_ids
                positions[row, place] = np.arange(len(pair.source_ids))
                numbers[row, place] = number
                visible[row, place] = np.where(pair.is_visible, number, _HIDDEN)
                target_place = slice(target_start, target_start + len(pair.target_ids))
                decoder_ids[row, target_place] = pair.decoder_ids
                decoder_positions[row, target_place] = pair.decoder_positions
                decoder_numbers[row, target_place] = number
                targets.append(pair.target_ids)
                start, target_start = place.stop, target_place.stop
        tensors = {
            "token_ids": token_ids,
            "positions": positions,
            "example_numbers": numbers,
            "visible_numbers": visible,
            "decoder_ids": decoder_ids,
            "decoder_positions": decoder_positions,
            "decoder_numbers": decoder_numbers,
            "masked_positions": np.flatnonzero(decoder_numbers >= 0),
            "masked_targets": joined(targets),
        }
        return SequenceToSequenceBatch(**{name: torch.from_numpy(values) for name, values in tensors.items()})

    def pair(self, example: int) -> SequencePair:
        """An example as this pass corrupts it."""
        random = np.random.default_rng((self.seed, self.pass_index, _CORRUPTION, example))
        return self.pairs.pair(example, random)


def pack_pairs(
    source_lengths: NDArray[np.int64],
    target_lengths: NDArray[np.int64],
    source_row: int,
    target_row: int,
) -> PackedRows:
    """Puts each pair, the longest first, into the row fullest of sources that has room for both its sides.

    As `pack_best_fit` does for one side. Of the rows with equally much room for sources only the 16 newest
    are looked at, so that time grows with the number of pairs and not with its square.

    Args:
        source_lengths, target_lengths: of each pair, at most `source_row` and `target_row`.
    """
    sizes = np.maximum(source_lengths / source_row, target_lengths / target_row)
    order = np.argsort(-sizes, kind="stable")
    row_of_pair, num_rows = _assign(source_lengths[order], target_lengths[order], source_row, target_row)
    by_row = np.argsort(row_of_pair, kind="stable")
    counts = np.bincount(row_of_pair, minlength=num_rows)
    return PackedRows(order[by_row], np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))


@njit(cache=True)
def _assign(source_lengths: Any, target_lengths: Any, source_row: int, target_row: int) -> Any:
    num_pairs = len(source_lengths)
    # Rows with the same room left for sources form a chain: newest_row[room], then previous_row[...], -1.
    newest_row = np.full(source_row + 1, -1, np.int64)
    previous_row = np.empty(num_pairs, np.int64)
    target_room = np.empty(num_pairs, np.int64)
    row_of_pair = np.empty(num_pairs, np.int64)
    num_rows = 0
    for pair in range(num_pairs):
        length, target_length = source_lengths[pair], target_lengths[pair]
        room, row, newer = _fullest(newest_row, previous_row, target_room, length, target_length)
        if row < 0:
            room, row = source_row, num_rows
            target_room[row] = target_row
            num_rows += 1
        elif newer < 0:
            newest_row[room] = previous_row[row]
        else:
            previous_row[newer] = previous_row[row]
        row_of_pair[pair] = row
        target_room[row] -= target_length
        if target_room[row]:
            previous_row[row] = newest_row[room - length]
            newest_row[room - length] = row
    return row_of_pair, num_rows


@njit(cache=True)
def _fullest(
    newest_row: Any, previous_row: Any, target_room: Any, length: int, target_length: int
) -> tuple[int, int, int]:
    """The least room with a row that a pair fits into, that row, -1 if none, and the next newer one or -1."""
    for room in range(length, len(newest_row) - 1):
        row, newer = newest_row[room], -1
        for _ in range(_CHAIN_DEPTH):
            if row < 0:
                break
            if target_room[row] >= target_length:
                return room, row, newer
            row, newer = previous_row[row], row
    return -1, -1, -1


class EncoderDecoder(nn.Module):
    """The encoder that is pretrained, and a decoder that reconstructs from its vectors what was corrupted.

    Encoder, decoder and output share the embeddings of tokens.
    """

    def __init__(self, config: BertConfig, num_decoder_layers: int, *, with_output_bias: bool) -> None:
        super().__init__()
        self.config = config
        self.encoder = BertEncoder(config)
        self.decoder = Decoder(config, num_decoder_layers)
        self.output = TiedOutput(config, with_bias=with_output_bias)
        initialise(self, config.initializer_range)

    @property
    def token_embeddings(self) -> Tensor:
        """[vocab_size, embedding_width]."""
        return self.encoder.embeddings.tokens.weight

    def predict(self, batch: SequenceToSequenceBatch) -> Tensor:
        """Scores of every token of the vocabulary for each target token, [M, vocab_size]."""
        hidden = self.decode(batch, self.encode(batch)).flatten(0, 1)
        logits: Tensor = self.output(hidden[batch.masked_positions], self.token_embeddings)
        return logits

    def encode(self, batch: SequenceToSequenceBatch) -> Tensor:
        """The encoder's vectors, [rows, source length, hidden_size]."""
        mask = self.encoder.mask(batch.example_numbers)
        types = torch.zeros_like(batch.token_ids)
        encoded: Tensor = self.encoder(batch.token_ids, types, batch.positions, mask)
        return encoded

    def decode(self, batch: SequenceToSequenceBatch, encoded: Tensor) -> Tensor:
        """The decoder's vectors, [rows, target length, hidden_size]."""
        numbers = batch.decoder_numbers
        masks = (
            block_attention_mask(numbers, causal=True),
            # Padding looks at the row's first example: attention to nothing at all would turn into NaN.
            block_attention_mask(numbers.clamp(min=0), batch.visible_numbers),
        )
        decoded: Tensor = self.decoder(
            batch.decoder_ids, batch.decoder_positions, encoded, masks, self.token_embeddings
        )
        return decoded


class SequenceToSequenceConfig(BaseModel):
    """What the objectives have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    max_length: int = Field(512, ge=8)
    """Tokens in a row of sources, and the most in an example."""
    target_length: int | None = Field(None, ge=1)
    """Tokens in a row of targets; null: those of the longest example, which suits long documents. Where most
    are short, their sources may fill the rows better if there is room for more targets."""
    num_decoder_layers: int | None = Field(None, ge=1)
    """Layers of the decoder; null: as many as the encoder has."""
    output_bias: Literal["none", "zeros", "token_frequencies"] = "none"
    """Whether the output has a bias, and where it starts: at zeros, or so that tokens are guessed by
    frequency."""


class SequenceToSequenceObjective(ABC):
    """A `PretrainingObjective` with a decoder; a subclass says how a text is corrupted."""

    name: ClassVar[str]
    Config: ClassVar[type[SequenceToSequenceConfig]]
    compares_with_unigram_entropy: ClassVar[bool] = False
    special_parts: ClassVar[tuple[str, ...]] = ("pad", "cls", "sep", "mask")

    def __init__(self, config: Any, tokenizer: Tokenizer) -> None:
        require_special_tokens(self.name, tokenizer, self.special_parts)
        self.config = config
        self.tokenizer = tokenizer
        if self.target_length < self.longest_target:
            raise ProlepsisError(
                f"Rows of {self.target_length} target tokens do not hold the {self.longest_target} of the "
                f"longest example.",
                where="target_length",
                remedy=f"Set it to at least {self.longest_target} or to null, or make max_length smaller.",
            )

    @property
    def max_length(self) -> int:
        return int(self.config.max_length)

    @property
    def target_length(self) -> int:
        """Tokens in a row of targets."""
        given: int | None = self.config.target_length
        return self.longest_target if given is None else given

    @property
    @abstractmethod
    def longest_target(self) -> int:
        """Most target tokens of an example."""

    @abstractmethod
    def pairs(self, split: TokenSplit, seed: int, pass_index: int) -> SequencePairs:
        """What one pass over the split is cut into."""

    def build_model(self, config: BertConfig, token_counts: NDArray[np.int64]) -> EncoderDecoder:
        config.check_fits(self.tokenizer.vocabulary_size, max(self.max_length, self.longest_target))
        options = self.config
        model = EncoderDecoder(
            config,
            options.num_decoder_layers or config.num_hidden_layers,
            with_output_bias=options.output_bias != "none",
        )
        if options.output_bias == "token_frequencies":
            model.output.start_from_counts(self.target_counts(token_counts))
        return model

    def target_counts(self, token_counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """How often tokens are to be predicted, in proportion: by default as often as they occur in texts."""
        return token_counts

    def plan(self, split: TokenSplit, seed: int, pass_index: int) -> SequenceToSequencePlan:
        return SequenceToSequencePlan.of(
            self.pairs(split, seed, pass_index),
            source_length=self.max_length,
            target_length=self.target_length,
            pad_id=self.tokenizer.special_ids["pad"],
            seed=seed,
            pass_index=pass_index,
        )

    def measure(self, model: Any, batch: Any) -> Measures:
        """`masked_loss` and `masked_accuracy`: means over target tokens.

        Each is predicted from the source and from the true target tokens before it.
        """
        logits = model.predict(batch)
        return Measures(
            losses={"masked_loss": cross_entropy(logits, batch.masked_targets)},
            others={"masked_accuracy": accuracy(logits, batch.masked_targets)},
        )

    def num_targets(self, batch: Any) -> dict[str, int]:
        return {"masked_loss": batch.num_target_tokens}

    def for_validation(self) -> Self:
        """The same objective: there is no share of corrupted tokens that all recipes have in common."""
        return self

    def shortened(self, max_length: int) -> Self:
        short = self._with(max_length=max_length, target_length=None)
        if self.config.target_length is None:
            return short
        in_proportion = round(self.config.target_length * max_length / self.max_length)
        return short._with(target_length=max(short.longest_target, in_proportion))

    def _with(self, **options: Any) -> Self:
        return type(self)(self.config.model_copy(update=options), self.tokenizer)
