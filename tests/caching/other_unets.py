"""Small U-Nets of other shapes than diffusers' usual one; those that are nobody's class are written after papers."""

import math

import torch
from diffusers import UNet1DModel
from torch import nn


def sinusoidal(timesteps: torch.Tensor, channels: int) -> torch.Tensor:
    """Of timesteps, shape (B,) or (): (B or 1, channels)."""
    frequencies = torch.exp(-math.log(10000) * torch.arange(channels // 2) / (channels // 2))
    angles = timesteps.reshape(-1, 1).float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class FilmBlock(nn.Module):
    """Two convolutions; between them each channel is scaled and shifted by the condition (FiLM)."""

    def __init__(self, inner: int, outer: int, condition: int):
        super().__init__()
        self.first = nn.Sequential(nn.Conv1d(inner, outer, 3, padding=1), nn.GroupNorm(2, outer), nn.Mish())
        self.second = nn.Sequential(nn.Conv1d(outer, outer, 3, padding=1), nn.GroupNorm(2, outer), nn.Mish())
        self.film = nn.Sequential(nn.Mish(), nn.Linear(condition, 2 * outer))
        self.direct = nn.Conv1d(inner, outer, 1) if inner != outer else nn.Identity()

    def forward(self, x, condition):
        scale, shift = self.film(condition)[..., None].chunk(2, dim=1)
        return self.second(scale * self.first(x) + shift) + self.direct(x)


class PolicyUNet(nn.Module):
    """The one-dimensional U-Net of robot policies (Chi et al. 2023): actions over time, conditioned on observations.

    The last way up takes what the second level has handed over; what the first level has is not taken.
    """

    def __init__(self, actions: int = 3, observed: int = 5, channels: tuple[int, ...] = (8, 16, 24)):
        super().__init__()
        condition = 8 + observed
        pairs = list(zip((actions, *channels[:-1]), channels, strict=True))
        self.down = nn.ModuleList()
        for level, (inner, outer) in enumerate(pairs):
            last = level == len(pairs) - 1
            smaller = nn.Identity() if last else nn.Conv1d(outer, outer, 3, stride=2, padding=1)
            blocks = [FilmBlock(inner, outer, condition), FilmBlock(outer, outer, condition), smaller]
            self.down.append(nn.ModuleList(blocks))
        self.middle = nn.ModuleList(FilmBlock(channels[-1], channels[-1], condition) for _ in range(2))
        self.up = nn.ModuleList()
        for inner, outer in reversed(pairs[1:]):
            larger = nn.ConvTranspose1d(inner, inner, 4, stride=2, padding=1)
            blocks = [FilmBlock(2 * outer, inner, condition), FilmBlock(inner, inner, condition), larger]
            self.up.append(nn.ModuleList(blocks))
        self.final = nn.Sequential(
            nn.Conv1d(channels[0], channels[0], 3, padding=1), nn.Conv1d(channels[0], actions, 1)
        )

    def forward(self, sample, timestep, global_cond):
        x = sample.moveaxis(1, 2)  # (B, T, actions)
        timestep = torch.as_tensor(timestep).expand(len(x))
        condition = torch.cat([sinusoidal(timestep, 8), global_cond], dim=1)
        handed_over = []
        for first, second, smaller in self.down:
            x = second(first(x, condition), condition)
            handed_over.append(x)
            x = smaller(x)
        for block in self.middle:
            x = block(x, condition)
        for first, second, larger in self.up:
            x = torch.cat([x, handed_over.pop()], dim=1)
            x = larger(second(first(x, condition), condition))
        return self.final(x).moveaxis(1, 2)


class Residual(nn.Module):
    """A convolution beside the direct way, with the timestep's embedding."""

    def __init__(self, inner: int, outer: int, embedding: int):
        super().__init__()
        self.layers = nn.Sequential(nn.GroupNorm(2, inner), nn.SiLU(), nn.Conv2d(inner, outer, 3, padding=1))
        self.embedded = nn.Linear(embedding, outer)
        self.direct = nn.Conv2d(inner, outer, 1)

    def forward(self, x, emb):
        return self.direct(x) + self.layers(x) + self.embedded(emb)[..., None, None]


class Steps(nn.Sequential):
    """Layers one after the other, those that take the embedding with it."""

    def forward(self, x, emb):
        for layer in self:
            x = layer(x, emb) if isinstance(layer, Residual) else layer(x)
        return x


class GuidedUNet(nn.Module):
    """The shape of OpenAI's guided-diffusion (Dhariwal and Nichol 2021): input, middle and output blocks."""

    def __init__(self, channels: int = 8):
        super().__init__()
        c, e = channels, 16
        self.embed = nn.Linear(8, e)
        self.input_blocks = nn.ModuleList(
            [
                Steps(nn.Conv2d(3, c, 3, padding=1)),
                Steps(Residual(c, c, e)),
                Steps(nn.Conv2d(c, c, 3, stride=2, padding=1)),
                Steps(Residual(c, 2 * c, e), nn.Identity()),
            ]
        )
        self.middle_block = Steps(Residual(2 * c, 2 * c, e), Residual(2 * c, 2 * c, e))
        self.output_blocks = nn.ModuleList(
            [
                Steps(Residual(4 * c, 2 * c, e)),
                Steps(Residual(3 * c, c, e), nn.Upsample(scale_factor=2), nn.Conv2d(c, c, 3, padding=1)),
                Steps(Residual(2 * c, c, e)),
                Steps(Residual(2 * c, c, e)),
            ]
        )
        self.out = nn.Conv2d(c, 3, 3, padding=1)

    def forward(self, x, timesteps=None, context=None, y=None):
        emb, kept = self.embed(sinusoidal(torch.as_tensor(timesteps).expand(len(x)), 8)), []
        for block in self.input_blocks:
            x = block(x, emb)
            kept.append(x)
        x = self.middle_block(x, emb)
        for block in self.output_blocks:
            x = block(torch.cat([x, kept.pop()], dim=1), emb)
        return self.out(x)


def unet_1d() -> UNet1DModel:
    """As Dance Diffusion's."""
    return UNet1DModel(
        sample_size=64,
        sample_rate=100,
        in_channels=2,
        out_channels=2,
        extra_in_channels=64,
        block_out_channels=(32, 32, 64),
        down_block_types=("DownBlock1DNoSkip", "DownBlock1D", "AttnDownBlock1D"),
        up_block_types=("AttnUpBlock1D", "UpBlock1D", "UpBlock1DNoSkip"),
    )
