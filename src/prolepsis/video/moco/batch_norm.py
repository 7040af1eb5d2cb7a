"""Batch norm over groups of a batch: what shuffled batch norm needs on one device.

MoCo computes batch norm on each of eight GPUs apart, and sends the keys of a batch to other GPUs than their
queries: with the same statistics on both sides, a query would know its key by them. On one device its authors
take the statistics of groups of the batch instead (the CIFAR-10 demo of github.com/facebookresearch/moco,
`SplitBatchNorm`; without it they lose four points there).
"""

import torch
from torch import Tensor, nn


class SplitBatchNorm2d(nn.BatchNorm2d):
    """Batch norm with the statistics, in training, of each of `num_splits` groups of successive images.

    The running statistics move by the mean over the groups. In evaluation it is `nn.BatchNorm2d`, whose
    parameters and buffers it has.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, norm: nn.BatchNorm2d, num_splits: int) -> None:
        """Takes the place of `norm`, whose parameters and buffers become this one's.

        Raises:
            ValueError: its running statistics are a mean over all batches, or it has none.
        """
        if norm.momentum is None or not norm.track_running_stats:
            raise ValueError("only a batch norm whose running statistics move by a momentum can be split")
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine)
        self.pace = norm.momentum
        self.load_state_dict(norm.state_dict())
        self.num_splits = num_splits

    def forward(self, images: Tensor) -> Tensor:
        if not self.training or self.num_splits == 1:
            return super().forward(images)
        if len(images) % self.num_splits:
            raise ValueError(f"{len(images)} images cannot be split into {self.num_splits} equal groups")
        groups = images.chunk(self.num_splits)
        means = [self.running_mean.clone() for _ in groups]
        variances = [self.running_var.clone() for _ in groups]
        normalised = [
            nn.functional.batch_norm(group, mean, variance, self.weight, self.bias, True, self.pace, self.eps)
            for group, mean, variance in zip(groups, means, variances, strict=True)
        ]
        with torch.no_grad():
            self.running_mean.copy_(torch.stack(means).mean(dim=0))
            self.running_var.copy_(torch.stack(variances).mean(dim=0))
            self.num_batches_tracked += 1
        return torch.cat(normalised)


def split_batch_norms(network: nn.Module, num_splits: int) -> None:
    """Puts a `SplitBatchNorm2d` in the place of every `nn.BatchNorm2d`; the names in the state stay."""
    for owner in list(network.modules()):
        for name, module in owner.named_children():
            if isinstance(module, nn.BatchNorm2d):
                setattr(owner, name, SplitBatchNorm2d(module, num_splits))
