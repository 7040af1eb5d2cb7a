"""What a user may say about feature extraction."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt

from prolepsis.plugins import PluginChoice


class EncoderChoice(PluginChoice):
    """A frame encoder and its configuration."""

    group: ClassVar[str] = "prolepsis.frame_encoders"


class FeatureExtractionParams(BaseModel):
    """The key `feature_extraction`.

    Attributes:
        rate: steps per second; the manifest's, so set it in `globals.yml`.
        batch_size: frames encoded at once.
        decoder_threads: videos decoded side by side, ahead of the encoder.
        device: auto, cpu, mps, cuda or cuda:<number>.
        precision: auto, fp32 or bf16.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder: EncoderChoice
    rate: PositiveFloat
    batch_size: PositiveInt
    decoder_threads: PositiveInt
    device: str
    precision: str
