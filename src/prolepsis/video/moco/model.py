"""Momentum contrast (He et al. 2020, "Momentum Contrast for Unsupervised Visual Representation Learning").

For a query the key of its own image must be told from those of others: one positive, and as many negatives as
the queue holds keys of earlier batches. The key encoder follows the query encoder slowly, so that the keys of
the queue, though of different ages, are of nearly the same encoder.
"""

import copy

import torch
from torch import Tensor, nn

from prolepsis.video.encoders.base import Normalisation
from prolepsis.video.moco.backbones import MEAN, STD
from prolepsis.video.moco.batch_norm import split_batch_norms


class ContrastEncoder(nn.Module):
    """A backbone and MoCo v2's MLP head; images to vectors of length one.

    Args:
        backbone: `[B, 3, S, S]` to `[B, width]`.
        width: of its features, and of the head's hidden layer.
        dimension: of the vectors.
    """

    def __init__(self, backbone: nn.Module, width: int, dimension: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, dimension))

    def forward(self, images: Tensor) -> Tensor:
        """`[B, 3, S, S]` to float32 `[B, dimension]`."""
        projected: Tensor = self.head(self.backbone(images))
        return nn.functional.normalize(projected.float(), dim=1)


class MomentumContrast(nn.Module):
    """Query encoder, key encoder and queue.

    Args:
        encoder: the query encoder; the key encoder begins as its copy.
        image_size: of the views.
        batch_norm_splits: the groups of a batch whose statistics batch norm takes apart.

    Attributes:
        queue: `[queue_size, dimension]`, unit vectors, at first random ones.
        enqueued: how many keys have been put into it; the next goes to `enqueued % queue_size`.
    """

    queue: Tensor
    enqueued: Tensor

    def __init__(
        self,
        encoder: ContrastEncoder,
        *,
        dimension: int,
        image_size: int,
        queue_size: int,
        momentum: float,
        temperature: float,
        batch_norm_splits: int,
    ) -> None:
        super().__init__()
        split_batch_norms(encoder, batch_norm_splits)
        self.query = encoder.to(memory_format=torch.channels_last)
        self.key = copy.deepcopy(encoder).requires_grad_(False)
        self.normalise = Normalisation(image_size, MEAN, STD)
        self.momentum = momentum
        self.temperature = temperature
        queue = nn.functional.normalize(torch.randn(queue_size, dimension), dim=1)
        self.register_buffer("queue", queue)
        self.register_buffer("enqueued", torch.zeros((), dtype=torch.int64))

    @property
    def queue_size(self) -> int:
        return len(self.queue)

    def forward(self, queries: Tensor, keys: Tensor, order: Tensor) -> Tensor:
        """The logits of each query's own key and of the queue, float32 `[B, 1 + queue_size]`.

        A step of training: it also moves the key encoder and puts the batch's keys into the queue.

        Args:
            queries, keys: views, uint8 `[B, S, S, 3]`; key i is the positive of query i.
            order: a permutation of the batch, in which the keys are encoded: with batch norm in groups, a
                query and its key then have different company.
        """
        query = self.query(self.normalise(queries))
        with torch.no_grad():
            self._move_key_encoder()
            key = self.key(self.normalise(keys[order]))[torch.argsort(order)]
        logits = self._logits(query, key)
        self._enqueue(key)
        return logits

    def encode(self, queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors of views, each `[B, dimension]`; nothing moves."""
        query: Tensor = self.query(self.normalise(queries))
        key: Tensor = self.key(self.normalise(keys))
        return query, key

    def compile_encoders(self) -> None:
        """Has PyTorch compile both encoders; the names in the state stay."""
        self.query.compile()
        self.key.compile()

    def _logits(self, query: Tensor, key: Tensor) -> Tensor:
        # In half precision a logit near 5 would be known to 0.03 only.
        with torch.autocast(query.device.type, enabled=False):
            positive = (query * key).sum(dim=1, keepdim=True)
            # A copy, since the gradient needs what the queue was when this batch's keys were not in it yet.
            negatives = query @ self.queue.clone().T
            return torch.cat([positive, negatives], dim=1) / self.temperature

    @torch.no_grad()
    def _move_key_encoder(self) -> None:
        followers = [parameter.data for parameter in self.key.parameters()]
        leaders = [parameter.data for parameter in self.query.parameters()]
        torch._foreach_lerp_(followers, leaders, 1.0 - self.momentum)

    @torch.no_grad()
    def _enqueue(self, keys: Tensor) -> None:
        places = (self.enqueued + torch.arange(len(keys), device=keys.device)) % self.queue_size
        self.queue[places] = keys
        self.enqueued += len(keys)
