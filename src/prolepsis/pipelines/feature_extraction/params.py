"""What a user may say about feature extraction."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, PositiveInt

from prolepsis.video.encoders.choice import EncoderChoice
from prolepsis.video.rates import Rate


class FeatureExtractionParams(BaseModel):
    """The key `feature_extraction`.

    Attributes:
        rate: steps per second; the manifest's, so set it in `globals.yml`.
        batch_size: steps encoded at once.
        decoder: pyav, on the CPU; torchcodec, on the GPU if device is one; or auto, which is torchcodec where
            device is a GPU and torchcodec works, else pyav.
        decoder_threads: videos decoded side by side, ahead of the encoder.
        device: auto, cpu, mps, cuda or cuda:<number>.
        precision: auto, fp32 or bf16.
        compile: whether torch.compile makes one program of the encoder: a minute at the start, on a GPU.
        dtype: of the features in the store.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder: EncoderChoice
    rate: Rate
    batch_size: PositiveInt
    decoder: Literal["auto", "pyav", "torchcodec"]
    decoder_threads: PositiveInt
    device: str
    precision: str
    compile: bool
    dtype: Literal["float16", "float32"]
