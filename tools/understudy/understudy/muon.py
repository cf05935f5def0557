"""Muon: momentum whose step is made orthogonal. torch has one too, always in bfloat16, whose steps take seconds on older CPUs.

Source: Keller Jordan, "Muon: An optimizer for hidden layers in neural networks",
<https://kellerjordan.github.io/posts/muon/>; the scale is that of Moonlight (arXiv 2502.16982), so that rates are AdamW's.
"""

import torch


class Muon(torch.optim.Optimizer):
    """For matrices that multiply hidden states; embeddings and norms belong to AdamW."""

    def __init__(self, matrices, lr: float, dtype: torch.dtype, momentum: float = 0.95, weight_decay: float = 0.05):
        """`dtype` is what the steps are made orthogonal in."""
        self.dtype = dtype
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.Tensor]] = {}
            for matrix in group["params"]:
                by_shape.setdefault(matrix.shape, []).append(matrix)
            for shape, matrices in by_shape.items():
                updates = torch.stack([self.momentum(matrix, group["momentum"]) for matrix in matrices]).to(self.dtype)
                scale = 0.2 * max(shape) ** 0.5
                for matrix, update in zip(matrices, orthogonal(updates), strict=True):
                    matrix.mul_(1 - group["lr"] * group["weight_decay"])
                    matrix.add_(update, alpha=-group["lr"] * scale)

    def momentum(self, matrix: torch.Tensor, share: float) -> torch.Tensor:
        """Nesterov's momentum."""
        buffer = self.state[matrix].setdefault("momentum", torch.zeros_like(matrix))
        buffer.lerp_(matrix.grad, 1 - share)
        return matrix.grad.lerp(buffer, share)


def orthogonal(x: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Nearly the closest orthogonal matrices to x [N, rows, columns], by Newton and Schulz's iteration."""
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.mT if tall else x
