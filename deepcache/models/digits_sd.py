"""Architectures of `digits-sd` and `digits-bk-sdm`: Stable Diffusion and BK-SDM in miniature."""

from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel

from deepcache.models.clip_vocabulary import clip_tokenizer
from deepcache.models.paper_pipelines import assemble_stable_diffusion

IMAGE_SIZE = 32
CONTEXT = 16  # tokens of a prompt
CONTEXT_CHANNELS = 64
VOCABULARY_SIZE = 2048  # the most frequent of CLIP's


def digits_tokenizer():
    """CLIP's tokenizer with fewer merges: any text can be given, and no prompt of the suite is too long."""
    return clip_tokenizer(VOCABULARY_SIZE, CONTEXT)


def digits_sd_vae() -> AutoencoderKL:
    """First stage of `digits-sd`: as Stable Diffusion's, it makes 4 channels; 3x32x32 pixels to 4x8x8."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 32),
        layers_per_block=1,
        latent_channels=4,
        sample_size=IMAGE_SIZE,
        norm_num_groups=8,
        scaling_factor=1.0,  # known after the training
    )


def digits_sd_text_encoder():
    """Text encoder of `digits-sd`: CLIP's text model, two layers of 64 channels."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=CONTEXT_CHANNELS,
        intermediate_size=4 * CONTEXT_CHANNELS,
        projection_dim=CONTEXT_CHANNELS,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        bos_token_id=VOCABULARY_SIZE - 2,
        eos_token_id=VOCABULARY_SIZE - 1,
        pad_token_id=VOCABULARY_SIZE - 1,
    )
    return CLIPTextModel(config)


def digits_sd_unet(layers_per_block: int = 2) -> UNet2DConditionModel:
    """U-Net of `digits-sd`: Stable Diffusion's four levels of two layers, attention to the prompt in all but the last.

    With one layer in each block it is that of `digits-bk-sdm`, as BK-SDM-Base has it (Kim et al. 2023, section 3.1).
    """
    return UNet2DConditionModel(
        sample_size=IMAGE_SIZE // 4,
        in_channels=4,
        out_channels=4,
        layers_per_block=layers_per_block,
        block_out_channels=(32, 32, 48, 48),
        down_block_types=(*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
        up_block_types=("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
        norm_num_groups=8,
        cross_attention_dim=CONTEXT_CHANNELS,
        attention_head_dim=2,  # of this class's settings, the one that means the number of heads
    )


def digits_sd_pipeline() -> StableDiffusionPipeline:
    """`digits-sd` with random weights."""
    return assemble_stable_diffusion(digits_sd_vae(), digits_sd_text_encoder(), digits_tokenizer(), digits_sd_unet())
