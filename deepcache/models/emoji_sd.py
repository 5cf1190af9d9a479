"""Architectures of `emoji-sd` and its student: Stable Diffusion in miniature, for pictures in colour and real words."""

from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel

from deepcache.models.clip_vocabulary import clip_tokenizer
from deepcache.models.paper_pipelines import assemble_stable_diffusion

IMAGE_SIZE = 32
LATENT_CHANNELS = 8  # four would blur what tells one emoji from another
CONTEXT = 24  # tokens of a prompt
CONTEXT_CHANNELS = 128
VOCABULARY_SIZE = 4096  # the most frequent of CLIP's


def emoji_tokenizer():
    """CLIP's tokenizer with fewer merges: any text can be given, and no emoji's name is too long."""
    return clip_tokenizer(VOCABULARY_SIZE, CONTEXT)


def emoji_sd_vae() -> AutoencoderKL:
    """First stage of `emoji-sd`: 3x32x32 pixels to 8x8x8."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(32, 64, 64),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        sample_size=IMAGE_SIZE,
        norm_num_groups=8,
        scaling_factor=1.0,  # known after the training
    )


def emoji_sd_text_encoder():
    """Text encoder of `emoji-sd`: CLIP's text model, two layers of 128 channels."""
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


def emoji_sd_unet(layers_per_block: int = 2) -> UNet2DConditionModel:
    """U-Net of `emoji-sd`: Stable Diffusion's four levels of two layers, attention to the prompt in all but the last.

    Channels grow towards the middle, so that a shallow pass saves what Stable Diffusion's does.
    """
    return UNet2DConditionModel(
        sample_size=IMAGE_SIZE // 4,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        layers_per_block=layers_per_block,
        block_out_channels=(32, 64, 96, 96),
        down_block_types=(*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
        up_block_types=("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
        norm_num_groups=8,
        cross_attention_dim=CONTEXT_CHANNELS,
        attention_head_dim=4,  # of this class's settings, the one that means the number of heads
    )


def emoji_sd_pipeline(layers_per_block: int = 2) -> StableDiffusionPipeline:
    """`emoji-sd` with random weights; it predicts the velocity, as Stable Diffusion 2.1 does at its largest size.

    With one layer in each block it is `emoji-bk-sdm`.
    """
    parts = emoji_sd_vae(), emoji_sd_text_encoder(), emoji_tokenizer(), emoji_sd_unet(layers_per_block)
    return assemble_stable_diffusion(*parts, prediction_type="v_prediction")
