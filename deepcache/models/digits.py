"""Architectures of the digits models: the paper's models in miniature, in diffusers' own classes."""

from diffusers import DDIMScheduler, UNet2DModel

IMAGE_SIZE = 16


def digits_ddpm_unet() -> UNet2DModel:
    """U-Net of `digits-ddpm`: four levels of two layers, so twelve branches, as the paper's CIFAR-10 model has."""
    return UNet2DModel(
        sample_size=IMAGE_SIZE,
        in_channels=1,
        out_channels=1,
        layers_per_block=2,
        block_out_channels=(16, 32, 64, 64),
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        norm_num_groups=8,
        attention_head_dim=8,
    )


def ddpm_scheduler() -> DDIMScheduler:
    """Noise schedule of DDPM (Ho et al. 2020): 1,000 timesteps, betas linear from 1e-4 to 0.02, nothing clipped."""
    return DDIMScheduler(
        num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02, beta_schedule="linear", clip_sample=False
    )
