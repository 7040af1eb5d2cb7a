"""An image network that was pretrained on one's own frames, by the pipeline `moco_pretraining`."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict
from torch import Tensor

from prolepsis.training.saved_model import SavedModel
from prolepsis.video.encoders.base import FrameEncoder
from prolepsis.video.moco.backbones import load_encoder


class MocoEncoder(FrameEncoder):
    """Frames to the features of a backbone that momentum contrast trained, without its head."""

    class Config(BaseModel):
        """Where the model is."""

        model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

        path: Path
        """The folder that the pipeline `moco_pretraining` wrote: `data/06_models/moco`."""

    def __init__(self, config: Config) -> None:
        encoder = load_encoder(SavedModel.load(config.path))
        super().__init__(
            dimension=encoder.dimension,
            input_size=encoder.input_size,
            weights_sha256=encoder.weights_sha256,
        )
        self.encoder = encoder

    def forward(self, frames: Tensor) -> Tensor:
        features: Tensor = self.encoder(frames)
        return features
