"""Architectures of the digits models: the paper's models in miniature, in diffusers' own classes."""

from diffusers import DDIMScheduler, UNet2DConditionModel, UNet2DModel, VQModel

from deepcache.models.classifier import NUM_CLASSES
from deepcache.models.ldm import SCHEDULER
from deepcache.models.ldm_pipeline import ClassEmbedder

IMAGE_SIZE = 16
LDM_IMAGE_SIZE = 32
LDM_CONTEXT = 32  # channels of the class context


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


def digits_ldm_vqvae() -> VQModel:
    """First stage of `digits-ldm`: as LDM-4-G's, it makes 3 channels at a quarter of the side, 32x32 to 3x8x8."""
    return VQModel(
        in_channels=1,
        out_channels=1,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 32),
        layers_per_block=1,
        latent_channels=3,
        sample_size=LDM_IMAGE_SIZE,
        num_vq_embeddings=256,
        norm_num_groups=8,
        scaling_factor=1.0,  # known after the training
    )


def digits_ldm_unet() -> UNet2DConditionModel:
    """U-Net of `digits-ldm`: LDM-4-G's four levels of two layers, all but the first with attention to the class."""
    return UNet2DConditionModel(
        sample_size=LDM_IMAGE_SIZE // 4,
        in_channels=3,
        out_channels=3,
        layers_per_block=2,
        block_out_channels=(32, 32, 48, 48),
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * 3),
        up_block_types=(*["CrossAttnUpBlock2D"] * 3, "UpBlock2D"),
        norm_num_groups=8,
        cross_attention_dim=LDM_CONTEXT,
        attention_head_dim=1,  # of this class's settings, the one that means the number of heads
    )


def digits_ldm_classes() -> ClassEmbedder:
    """Class embedding of `digits-ldm`: the ten digits and "no class"."""
    return ClassEmbedder(NUM_CLASSES + 1, LDM_CONTEXT)


def ldm_scheduler() -> DDIMScheduler:
    """Noise schedule of LDM-4-G."""
    return DDIMScheduler(**SCHEDULER)
