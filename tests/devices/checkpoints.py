"""Models as small as they can be, of every family: what runs on them is every program's own."""

from pathlib import Path

import torch
from diffusers import DDPMPipeline, VQModel

from deepcache.data.manifests import write_manifest as write_dataset
from deepcache.models import efficientnet
from deepcache.models.checkpoints import write_manifest
from deepcache.models.digits import ddpm_scheduler, ldm_scheduler
from deepcache.models.ldm_pipeline import ClassEmbedder, LDMClassPipeline
from deepcache.models.random_weights import write_random
from deepcache.package_weights import package_folder
from tests.conftest import ROOT, make_unet2d, make_unet2d_condition
from tests.generation.checkpoints import save

TWO_LEVELS = {"layers_per_block": 1, "block_out_channels": (8, 16)}
PROMPTS = "".join(f"the digit {digit}\n" for digit in range(8))


def pixel_unet():
    """Four branches."""
    down, up = ("DownBlock2D", "AttnDownBlock2D"), ("AttnUpBlock2D", "UpBlock2D")
    return make_unet2d(**TWO_LEVELS, down_block_types=down, up_block_types=up)


def ldm_pipeline() -> LDMClassPipeline:
    torch.manual_seed(0)
    down, up = ("DownBlock2D", "CrossAttnDownBlock2D"), ("CrossAttnUpBlock2D", "UpBlock2D")
    unet = make_unet2d_condition(
        **TWO_LEVELS, sample_size=8, in_channels=3, out_channels=3, down_block_types=down, up_block_types=up
    )
    first_stage = VQModel(
        in_channels=1,
        out_channels=1,
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=3,
        num_vq_embeddings=16,
        norm_num_groups=4,
    )
    return LDMClassPipeline(unet, first_stage, ClassEmbedder(11, 16), ldm_scheduler())


def write_checkpoints(folder: Path) -> None:
    """Checkpoints with a manifest each, the digits' networks that measure images, and prompts."""
    DDPMPipeline(pixel_unet(), ddpm_scheduler()).save_pretrained(folder / "pixel")
    ldm_pipeline().save_pretrained(folder / "ldm")
    save(folder / "sd", layers_per_block=1)
    write_random("svd-tiny", folder / "svd", 0)
    for name in ("inception", "lpips-alexnet"):
        write_random(name, folder / name, 0)
    for name in ("pixel", "ldm", "sd", "svd", "inception", "lpips-alexnet"):
        write_manifest(folder / f"{name}.json", name, folder / name, "random", {})
    place = package_folder(efficientnet.PACKAGE)
    write_manifest(folder / "efficientnet-lite0.json", "efficientnet-lite0", place, "local", {})
    for name in ("digits-classifier", "digits-clip", "emoji-clip"):
        write_manifest(folder / f"{name}.json", name, ROOT / "resources/checkpoints" / name, "shipped", {})
    (folder / "prompts.txt").write_text(PROMPTS, encoding="utf-8")
    write_dataset(folder / "prompts.json", "prompts", "text", folder / "prompts.txt", "local")
    write_dataset(folder / "digits.json", "digits", "digits", None, "bundled")
