"""Stable Diffusion in miniature: what `digits-sd`, `emoji-sd` and their students have in common."""

from dataclasses import dataclass

from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel

from deepcache.models.clip_vocabulary import clip_tokenizer
from deepcache.models.paper_pipelines import assemble_stable_diffusion

IMAGE_SIZE = 32


@dataclass(frozen=True)
class SmallStableDiffusion:
    """Sizes of such a model, which makes pictures of 3x32x32 pixels, and its parts with random weights.

    Attributes:
        context: tokens of a prompt.
        context_channels: width of the text encoder.
        vocabulary_size: the most frequent of CLIP's tokens.
        latent_channels: of the first stage, which makes them of 8x8.
        vae_channels: of the three levels of the first stage.
        unet_channels: of the four levels of the U-Net.
        heads: of the U-Net's attention.
        prediction_type: what the U-Net predicts, `epsilon` or `v_prediction`.
    """

    context: int
    context_channels: int
    vocabulary_size: int
    latent_channels: int
    vae_channels: tuple[int, int, int]
    unet_channels: tuple[int, int, int, int]
    heads: int
    prediction_type: str = "epsilon"

    def tokenizer(self):
        """CLIP's tokenizer with fewer merges: any text can be given, and no prompt of the suite is too long."""
        return clip_tokenizer(self.vocabulary_size, self.context)

    def vae(self) -> AutoencoderKL:
        """First stage: 3x32x32 pixels to latents of 8x8."""
        return AutoencoderKL(
            in_channels=3,
            out_channels=3,
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=self.vae_channels,
            layers_per_block=1,
            latent_channels=self.latent_channels,
            sample_size=IMAGE_SIZE,
            norm_num_groups=8,
            scaling_factor=1.0,  # known after the training
        )

    def text_encoder(self):
        """Text encoder: CLIP's text model, two layers."""
        from transformers import CLIPTextConfig, CLIPTextModel

        config = CLIPTextConfig(
            vocab_size=self.vocabulary_size,
            hidden_size=self.context_channels,
            intermediate_size=4 * self.context_channels,
            projection_dim=self.context_channels,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=self.context,
            bos_token_id=self.vocabulary_size - 2,
            eos_token_id=self.vocabulary_size - 1,
            pad_token_id=self.vocabulary_size - 1,
        )
        return CLIPTextModel(config)

    def unet(self, layers_per_block: int = 2) -> UNet2DConditionModel:
        """U-Net: Stable Diffusion's four levels of two layers, attention to the prompt in all but the last.

        With one layer in each block it is a student's, as BK-SDM-Base has it (Kim et al. 2023, section 3.1).
        """
        return UNet2DConditionModel(
            sample_size=IMAGE_SIZE // 4,
            in_channels=self.latent_channels,
            out_channels=self.latent_channels,
            layers_per_block=layers_per_block,
            block_out_channels=self.unet_channels,
            down_block_types=(*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
            up_block_types=("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
            norm_num_groups=8,
            cross_attention_dim=self.context_channels,
            attention_head_dim=self.heads,  # of this class's settings, the one that means the number of heads
        )

    def pipeline(self, layers_per_block: int = 2) -> StableDiffusionPipeline:
        """The whole; with one layer in each block a student."""
        parts = self.vae(), self.text_encoder(), self.tokenizer(), self.unet(layers_per_block)
        return assemble_stable_diffusion(*parts, prediction_type=self.prediction_type)
