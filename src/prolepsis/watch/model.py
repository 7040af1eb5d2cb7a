"""A trained detector and the encoder whose features it was trained on, step by step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from prolepsis import plugins
from prolepsis.action.detectors.base import Detector, State
from prolepsis.action.training import load_detector
from prolepsis.errors import ProlepsisError
from prolepsis.report.timelines import class_hues
from prolepsis.training.device import autocast, resolve_precision
from prolepsis.training.saved_model import SavedModel
from prolepsis.video import precomputed
from prolepsis.video.encoders.base import FrameEncoder
from prolepsis.video.encoders.clips import Clip
from prolepsis.video.encoders.extraction import batch_of_clips

_ENCODERS = "prolepsis.frame_encoders"
_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Float32s = NDArray[np.float32]


@dataclass(frozen=True)
class WatchModel:
    """All that turns frames into beliefs.

    Attributes:
        name: of the detector's variant.
        class_names: background first.
        rate: steps per second.
        encoder: None where the features were made by others, and only features can be watched.
    """

    name: str
    class_names: Sequence[str]
    rate: float
    detector: Detector
    encoder: "Encoder | None"
    device: torch.device
    dtype: str

    def greeting(self, source: str, threshold: float) -> dict[str, Any]:
        """What a live page must know."""
        return {
            "source": source,
            "detector": self.name,
            "rate": self.rate,
            "classes": list(self.class_names),
            "hues": class_hues(len(self.class_names)),
            "threshold": threshold,
            "looks_ahead": self.detector.horizon > 0,
        }

    def require_encoder(self) -> "Encoder":
        """The encoder, for a source of pictures.

        Raises:
            ProlepsisError: there is none.
        """
        if self.encoder is None:
            raise ProlepsisError(
                "The detector was trained on features that others computed, so no encoder here makes them "
                "from pictures.",
                where=f"detector {self.name!r}",
                remedy="Watch a folder in which such features arrive ('kedro watch FOLDER'), or train on "
                "features of an encoder.",
            )
        return self.encoder

    def stored(self, features: Float32s) -> Float32s:
        """Features as the detector was trained on them: rounded to the type of the feature store.

        Raises:
            ProlepsisError: they are of another length, or are no numbers.
        """
        if features.shape[-1] != self.detector.input_size:
            raise ProlepsisError(
                f"The detector takes features of length {self.detector.input_size}, and these have "
                f"{features.shape[-1]}.",
                where=f"detector {self.name!r}",
                remedy="Give features of the encoder that it was trained with.",
            )
        with np.errstate(over="ignore"):  # an overflow becomes an infinity, and is reported as one
            rounded = features.astype(self.dtype).astype(np.float32)
        if not np.isfinite(rounded).all():
            raise ProlepsisError(
                f"Features are not numbers, or do not fit {self.dtype}.",
                where=f"detector {self.name!r}",
                remedy="Encode in fp32, or train on features stored as float32.",
            )
        return rounded


class Encoder:
    """A frame encoder on its device, in the precision of the features that the detector knows."""

    def __init__(self, encoder: FrameEncoder, device: torch.device, precision: torch.dtype) -> None:
        self.offsets = encoder.offsets
        self.size = (encoder.input_size, encoder.input_size)
        self._encoder = encoder.to(device)
        self._device = device
        self._precision = precision

    @torch.inference_mode()
    def encode(self, clips: Sequence[Clip]) -> Float32s:
        """The features of some steps, `[B, D]`."""
        with autocast(self._device, self._precision):
            features = self._encoder(batch_of_clips(clips, self._device))
        encoded: Float32s = features.float().cpu().numpy()
        return encoded


class Stepper:
    """A detector on one stream: features in, probabilities out, from the state that the last step left."""

    def __init__(self, detector: Detector, device: torch.device) -> None:
        self._detector = detector.to(device).eval()
        self._device = device
        self._precision = resolve_precision("auto", device)
        self.restart()

    @torch.inference_mode()
    def restart(self) -> None:
        """Forgets the stream."""
        self._state: State = self._detector.initial_state(1)

    @torch.inference_mode()
    def step(self, feature: Float32s) -> tuple[Float32s, Float32s | None]:
        """Probabilities of a step from its features `[D]`: `[C]`, and `[F, C]` where it looks ahead."""
        with autocast(self._device, self._precision):
            output = self._detector.step(torch.from_numpy(feature).unsqueeze(0).to(self._device), self._state)
        self._state = output.state
        ahead = output.anticipation
        scores: Float32s = output.scores[0].float().softmax(-1).cpu().numpy()
        return scores, None if ahead is None else ahead[0].float().softmax(-1).cpu().numpy()


def load_watch_model(name: str, saved: SavedModel, device: torch.device) -> WatchModel:
    """Builds the detector, and the encoder that made the features which it was trained on.

    Raises:
        ProlepsisError: the model does not say which features it takes, or what else must be known of it; or
            the encoder here makes others.
    """
    try:
        return _loaded(name, saved, device)
    except KeyError as error:
        raise ProlepsisError(
            f"The saved model is not whole: it lacks {error}.",
            where=f"detector {name!r}",
            remedy=_again(name),
        ) from error


def _loaded(name: str, saved: SavedModel, device: torch.device) -> WatchModel:
    described = saved.metadata.get("features")
    if described is None:
        raise ProlepsisError(
            "The model does not say how the features were made that it takes.",
            where=f"detector {name!r}",
            remedy=_again(name),
        )
    detector = load_detector(saved).to(device).eval()
    class_names = saved.metadata["class_names"]
    if len(class_names) != detector.num_classes:
        raise ProlepsisError(
            f"The saved model tells {detector.num_classes} classes apart, and names {len(class_names)}.",
            where=f"detector {name!r}",
            remedy=_again(name),
        )
    return WatchModel(
        name=name,
        class_names=class_names,
        rate=described["rate"],
        detector=detector,
        encoder=_encoder(name, described, device),
        device=device,
        dtype=described["dtype"],
    )


def _again(name: str) -> str:
    return f"Train it again: kedro run --pipelines action_detection --namespaces {name}"


def _encoder(name: str, described: Mapping[str, Any], device: torch.device) -> Encoder | None:
    plugin = described["encoder"]
    if plugin == precomputed.ENCODER_NAME:
        return None
    encoder: FrameEncoder = plugins.load(_ENCODERS, plugin)(
        plugins.configure(_ENCODERS, plugin, described["config"])
    )
    if encoder.weights_sha256 != described["weights_sha256"] or encoder.dimension != described["dimension"]:
        raise ProlepsisError(
            f"The encoder {plugin!r} is not the one whose features the detector was trained on: its weights "
            "differ.",
            where=f"detector {name!r}",
            remedy="Extract features and train again: kedro run --pipelines "
            "feature_extraction,action_detection",
        )
    # bfloat16 was a GPU's; a CPU without it would compute it slowly, and no closer to what was stored.
    known = _PRECISIONS.get(described["precision"], torch.float32)
    return Encoder(encoder, device, known if device.type == "cuda" else torch.float32)
