"""From a source to beliefs: decoding, encoding and detecting each in a thread of its own.

    decoding    a thread           clips of steps, as the frames come
    encoding    a thread           all clips that wait, together
    detecting   whoever asks       one step after the other

Between two of them is a bounded queue. Where the source is live, a full queue drops its oldest step, which is
counted: what is said is then always about now. Where it is not, a full queue holds back the one before it,
and no step is lost.
"""

import threading
import time
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from prolepsis.video.live import Clock, Source, StepClip
from prolepsis.watch.channel import Channel, fed
from prolepsis.watch.model import Encoder, Stepper, WatchModel

Float32s = NDArray[np.float32]
Item = TypeVar("Item")

_LIVE_STEPS = 4  # enough for a hiccup; more would only make what is said older
_FILE_STEPS = 32
_LARGEST_BATCH = 16  # beyond it a CPU gets slower


@dataclass(frozen=True)
class StepFeature:
    """The features `[D]` of a step; the rest as in `StepClip`."""

    connection: int
    step: int
    time: float
    due: float
    feature: Float32s


@dataclass(frozen=True)
class Belief:
    """What the detector believes at a step.

    Attributes:
        connection, step, time: as in `StepClip`.
        latency: seconds from the step's centre, on the clock, until this was known.
        scores: probabilities `[C]`.
        anticipation: `[F, C]`, of the steps that follow; None where the detector does not look ahead.
    """

    connection: int
    step: int
    time: float
    latency: float
    scores: Float32s
    anticipation: Float32s | None


@runtime_checkable
class FeatureSource(Protocol):
    """Where features come from that are made already; else as `prolepsis.video.live.Source`."""

    name: str
    live: bool

    def features(self, stop: threading.Event) -> Generator[StepFeature]:
        """The features of the steps until the source ends or `stop` is set."""
        ...


class Watch:
    """One detector on one source.

    Attributes:
        num_seen: steps that the detector saw so far.
    """

    def __init__(
        self, model: WatchModel, source: Source | FeatureSource, *, clock: Clock = time.monotonic
    ) -> None:
        self._model = model
        self._source = source
        self._clock = clock
        self._stop = threading.Event()
        self._channels: list[Channel[Any]] = []
        self._told_to_stop = False
        self._connection: int | None = None
        self.num_seen = 0

    @property
    def num_dropped(self) -> int:
        """Steps that a full queue dropped so far."""
        return sum(channel.num_dropped for channel in self._channels)

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop."""
        return self._told_to_stop

    def stop(self) -> None:
        """Ends the beliefs soon; may be called from another thread."""
        self._told_to_stop = True
        self._halt()

    def beliefs(self) -> Generator[Belief]:
        """What is believed, step by step, until the source ends.

        Raises:
            ProlepsisError: the source cannot be opened or read, or its features do not fit the detector.
        """
        stepper = Stepper(self._model.detector, self._model.device)
        stepper.step(np.zeros(self._model.detector.input_size, np.float32))  # the first one takes longer
        with ExitStack() as threads:
            try:
                for item in self._features(threads):
                    yield self._believe(stepper, item)
            finally:
                self._halt()  # before the threads are waited for: one may hang on a source that is silent

    def _believe(self, stepper: Stepper, item: StepFeature) -> Belief:
        if item.connection != self._connection:
            stepper.restart()
            self._connection = item.connection
        scores, anticipation = stepper.step(self._model.stored(item.feature))
        self.num_seen += 1
        latency = self._clock() - item.due
        return Belief(item.connection, item.step, item.time, latency, scores, anticipation)

    def _halt(self) -> None:
        self._stop.set()
        for channel in self._channels:
            channel.stop()

    def _features(self, threads: ExitStack) -> Channel[StepFeature]:
        """The threads before the last one, started; they end with `threads`."""
        if isinstance(self._source, FeatureSource):
            return self._fed(threads, self._source.features(self._stop), "features")
        encoder = self._model.require_encoder()
        black = np.zeros((*encoder.size, 3), np.uint8)
        encoder.encode([(black,) * len(encoder.offsets)])
        clips = self._fed(threads, self._source.clips(self._stop), "decoder")
        return self._fed(threads, _encoded(clips, encoder), "encoder")

    def _fed(self, threads: ExitStack, items: Generator[Item], name: str) -> Channel[Item]:
        live = self._source.live
        channel: Channel[Item] = Channel(_LIVE_STEPS if live else _FILE_STEPS, dropping=live)
        self._channels.append(channel)
        threads.enter_context(fed(items, channel, name))
        return channel


def _encoded(clips: Channel[StepClip], encoder: Encoder) -> Generator[StepFeature]:
    """All clips that wait are encoded together: one at a time where nobody is late, more to catch up."""
    while taken := clips.take(_LARGEST_BATCH):
        features = encoder.encode([one.clip for one in taken])
        for one, feature in zip(taken, features, strict=True):
            yield StepFeature(one.connection, one.step, one.time, one.due, feature)
