"""The understudy's network: Llama, as llama.cpp and Mummer compute it.

Shapes: B sequences, T tokens each, C width, H query heads, K key-value heads, D width of a head.
"""

from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Shape:
    """The numbers that make a Llama model. They are written into the GGUF file."""

    vocabulary: int = 2048
    width: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    hidden: int = 768
    context: int = 2048
    rope_base: float = 10_000.0
    epsilon: float = 1e-5

    def as_dict(self) -> dict:
        return asdict(self)


class Attention(nn.Module):
    """Causal attention with grouped queries and interleaved rotary positions (GGUF's order of rows)."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.heads, self.kv_heads = shape.heads, shape.kv_heads
        self.head_width = shape.width // shape.heads
        kv_width = shape.kv_heads * self.head_width
        self.q = nn.Linear(shape.width, shape.width, bias=False)
        self.k = nn.Linear(shape.width, kv_width, bias=False)
        self.v = nn.Linear(shape.width, kv_width, bias=False)
        self.output = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
        batch, length, _ = x.shape
        split = lambda y, heads: y.view(batch, length, heads, self.head_width).transpose(1, 2)
        q = rotate(split(self.q(x), self.heads), rotation)
        k = rotate(split(self.k(x), self.kv_heads), rotation)
        v = split(self.v(x), self.kv_heads)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.output(y.transpose(1, 2).reshape(batch, length, -1))


class Block(nn.Module):
    """Attention and a gated feed-forward network, each behind an RMS norm and added to the residual stream."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.width, shape.epsilon)
        self.attention = Attention(shape)
        self.ffn_norm = nn.RMSNorm(shape.width, shape.epsilon)
        self.gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.attention_norm(x), rotation)
        h = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Understudy(nn.Module):
    """The whole model. The matrix that embeds tokens also gives the logits."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, shape.epsilon)
        self.register_buffer("rotation", rotations(shape), persistent=False)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)
        for block in self.blocks:
            for matrix in (block.attention.output, block.down):
                nn.init.normal_(matrix.weight, std=0.02 / (2 * shape.layers) ** 0.5)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """The hidden states [B, T, C] of token ids [B, T]; `logits` makes logits of those that are wanted."""
        rotation = self.rotation[: ids.shape[1]]
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, rotation)
        return self.norm(x)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits [N, vocabulary] of hidden states [N, C]."""
        return F.linear(hidden, self.embedding.weight)


def rotations(shape: Shape) -> torch.Tensor:
    """cos and sin of every position and frequency: [context, D / 2, 2]."""
    head_width = shape.width // shape.heads
    frequencies = shape.rope_base ** (-torch.arange(0, head_width, 2).double() / head_width)
    angles = torch.arange(shape.context).double()[:, None] * frequencies
    return torch.stack((angles.cos(), angles.sin()), dim=-1).float()


def rotate(x: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    """Turns neighbouring pairs of x [B, H, T, D] by their position's angles."""
    cos, sin = rotation[..., 0], rotation[..., 1]
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)
