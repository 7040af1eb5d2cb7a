"""A frame encoder as a user chooses it; apart from the encoders: a pipeline is built without PyTorch."""

from typing import TYPE_CHECKING, ClassVar

from prolepsis.plugins import PluginChoice

if TYPE_CHECKING:
    from prolepsis.video.encoders.base import FrameEncoder


class EncoderChoice(PluginChoice):
    """A frame encoder and its configuration."""

    group: ClassVar[str] = "prolepsis.frame_encoders"

    def build(self) -> "FrameEncoder":
        encoder: FrameEncoder = self.load()(self.configuration())
        return encoder
