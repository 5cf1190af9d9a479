"""Architectures of `digits-sd` and `digits-bk-sdm`: Stable Diffusion and BK-SDM in miniature."""

from deepcache.models.small_stable_diffusion import SmallStableDiffusion

CONTEXT = 16
VOCABULARY_SIZE = 2048
DIGITS_SD = SmallStableDiffusion(
    context=CONTEXT,
    context_channels=64,
    vocabulary_size=VOCABULARY_SIZE,
    latent_channels=4,
    vae_channels=(16, 32, 32),
    unet_channels=(32, 32, 48, 48),
    heads=2,
)
digits_tokenizer, digits_sd_unet, digits_sd_pipeline = DIGITS_SD.tokenizer, DIGITS_SD.unet, DIGITS_SD.pipeline
