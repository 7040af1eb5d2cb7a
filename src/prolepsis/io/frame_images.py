"""The frames of videos as pictures, mapped into memory."""

from typing import Any

from kedro_datasets._typing import TablePreview

from prolepsis.files import atomic_directory
from prolepsis.io import previews
from prolepsis.io.local import LocalDataset
from prolepsis.video.frame_images import FrameImages, FrameImageStream, write_frame_images

_PREVIEW_VIDEOS = 20


class FrameImagesDataset(LocalDataset[FrameImageStream, FrameImages]):
    """A frame for each step of each video: `save` decodes them one after the other, `load` maps the file.

    ```yaml
    frame_images:
      type: prolepsis.io.FrameImagesDataset
      filepath: data/03_primary/frame_images
    ```

    >>> frames = catalog.load("frame_images")  # doctest: +SKIP
    >>> frames["walk_00"].shape                # doctest: +SKIP
    (125, 96, 96, 3)
    """

    def save(self, data: FrameImageStream) -> None:
        with atomic_directory(self._path) as folder:
            write_frame_images(folder, data)

    def load(self) -> FrameImages:
        return FrameImages.open(self._path)

    def preview(self) -> TablePreview:
        """The first videos and what their frames are like."""
        return previews.table(self.load().profile().head(_PREVIEW_VIDEOS))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._path.as_posix(), "format": "memory-mapped"}
