"""Architectures of `emoji-sd` and its student: Stable Diffusion in miniature, for pictures in colour and real words."""

from deepcache.models.small_stable_diffusion import SmallStableDiffusion

CONTEXT = 24
EMOJI_SD = SmallStableDiffusion(
    context=CONTEXT,
    context_channels=128,
    vocabulary_size=4096,
    latent_channels=8,  # four would blur what tells one emoji from another
    vae_channels=(32, 64, 64),
    unet_channels=(
        32,
        64,
        96,
        96,
    ),  # more towards the middle, so that a shallow pass saves what Stable Diffusion's does
    heads=4,
    prediction_type="v_prediction",  # the velocity, as Stable Diffusion 2.1 at its largest size
)
emoji_tokenizer, emoji_sd_unet, emoji_sd_pipeline = EMOJI_SD.tokenizer, EMOJI_SD.unet, EMOJI_SD.pipeline
