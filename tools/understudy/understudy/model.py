"""The understudy's network: Llama, as llama.cpp and Mummer compute it.

Shapes: B sequences, T tokens each, C width, H query heads, K key-value heads, D width of a head.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Shape:
    """The numbers that make a Llama model. They are written into the GGUF file."""

    vocabulary: int = 2048
    width: int = 256
    layers: int = 4
    heads: int = 8
    kv_heads: int = 4
    hidden: int = 768
    context: int = 2048
    rope_base: float = 100_000.0
    epsilon: float = 1e-5


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
        for parameter in self.blocks.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)
        nn.init.normal_(self.embedding.weight, std=EMBEDDING_SCALE)
        wire_copying(self)

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


# Large enough that logits of a tied embedding can be sure of something from the start.
EMBEDDING_SCALE = 0.08


@torch.no_grad()
def wire_copying(model: Understudy) -> None:
    """Lays out the circuit that copies, which training would find by itself only after many millions of tokens.

    An induction head (Olsson et al., "In-context Learning and Induction Heads", 2022): heads of the first block let each
    position know the token before it; heads of the second look for positions that follow a token like the present one,
    and say what stands there. Everything may change in training, and what it is used for is learned.
    """
    shape = model.shape
    width, head = shape.width, shape.width // shape.heads
    group = shape.heads // shape.kv_heads
    # The first dimension is the same for all tokens: it serves as a bias. `bias` is what makes 1 of it behind a norm.
    common = 8.0
    model.embedding.weight[:, 0] = common * EMBEDDING_SCALE
    bias = ((common**2 + width - 1) / width) ** 0.5 / common
    # Directions that do not disturb each other: tokens as they are read, and where the token before is written.
    basis = torch.zeros(width - 1, width)
    basis[:, 1:] = torch.linalg.qr(torch.randn(width - 1, width - 1))[0]
    token, before = basis[:head], basis[head : 2 * head]
    angles = shape.rope_base ** (-torch.arange(0, head, 2) / head)

    first = model.blocks[0].attention
    sharp = 4  # Pairs that turn fast enough to tell neighbours apart.
    attention, copied, said = 5 * bias, 3 * EMBEDDING_SCALE, 0.6  # How sure each part is of itself; found by trying.
    for pair in range(sharp):
        first.k.weight[2 * pair, 0] = attention
        first.q.weight[2 * pair, 0] = attention * angles[pair].cos()
        first.q.weight[2 * pair + 1, 0] = -attention * angles[pair].sin()
    first.v.weight[:head] = token
    first.output.weight[:, :head] = copied * before.T

    second = model.blocks[1].attention
    for number in range(2):
        content = slice(number * head // 2, (number + 1) * head // 2)
        q_rows = slice(number * group * head + head // 2, number * group * head + head)
        kv_rows = slice(number * head + head // 2, number * head + head)
        # The pairs that turn slowly: likeness must not depend on distance.
        second.q.weight[q_rows] = 2.0 * token[content]
        second.k.weight[kv_rows] = 2.0 * before[content]
        value = basis[(2 + number) * head : (3 + number) * head]
        second.v.weight[number * head : (number + 1) * head] = value
        second.output.weight[:, number * group * head : (number * group + 1) * head] = said * value.T


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
