"""What generate.py refuses of refiners and of checkpoints for videos, in one line."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, MotionAdapter

from tests.conftest import make_unet_spatio_temporal
from tests.generation.checkpoints import save_sdxl, save_video
from tests.support import others

IMAGES = ("--images", "images")
PLANS = (("--plan", "plan.json"), ("--speedup", 3))
REFINED, ANIMATED, VIDEO = "SDXL with a refiner", "AnimateDiff", "Stable Video Diffusion"


def takes_none(option, kind):
    return f"{option}: {kind} takes none: leave it out"


@pytest.mark.parametrize(
    "given",
    [IMAGES, ("--masks", "masks"), ("--strength", 0.5), ("--exported", "x"), ("--frames", 8), ("--fps", 8), *PLANS],
)
def test_what_a_refiner_does_not_go_with(sdxl, refiner, refused, given):
    assert refused(sdxl, "--refiner", refiner, *given) == takes_none(given[0], REFINED)
    assert not Path("out").exists()


@pytest.mark.parametrize("given", [*PLANS, IMAGES, ("--strength", 0.5), ("--exported", "x"), ("--fps", 8)])
@pytest.mark.parametrize("way", ["whole", "motion adapter"])
def test_what_animatediff_does_not_go_with(sd, animatediff, refused, given, way):
    whole, adapter = animatediff
    checkpoint = (whole,) if way == "whole" else (sd, "--motion-adapter", adapter)
    assert refused(*checkpoint, *given) == takes_none(given[0], ANIMATED)


@pytest.mark.parametrize(
    "given", [*PLANS, ("--negative-prompt", "x"), ("--masks", "masks"), ("--strength", 0.5), ("--handover", 0.5)]
)
def test_what_stable_video_does_not_go_with(stable_video, refused, given):
    assert refused(stable_video, *IMAGES, *given, prompted=False) == takes_none(given[0], VIDEO)


@pytest.mark.parametrize("given", [("--handover", 0.5), ("--frames", 8), ("--fps", 8)])
def test_what_stable_diffusion_does_not_go_with(sd, refused, given):
    assert refused(sd, *given) == takes_none(given[0], "Stable Diffusion by itself")


def test_what_each_needs(sd, sdxl, refiner, animatediff, stable_video, refused):
    for given in ((sd,), (sdxl, "--refiner", refiner), (animatediff[0],)):
        assert refused(*given, prompted=False).endswith(" makes nothing without: give them")
    assert refused(stable_video, prompted=False) == f"--images: {VIDEO} makes nothing without: give them"
    assert refused(stable_video, *IMAGES) == takes_none("--prompts", VIDEO)


@pytest.mark.parametrize("sampler", ["plms", "pndm"])
def test_samplers_that_cannot_begin_in_the_middle(sdxl, refiner, refused, sampler):
    others = "ddim, dpmpp, dpmpp_ays, unipc, euler, euler_a, lms"
    line = refused(sdxl, "--refiner", refiner, "--sampler", sampler)
    assert line == f"--sampler {sampler}: {REFINED} takes {others}: give one of these"


def test_samplers_of_stable_video(stable_video, refused):
    line = refused(stable_video, *IMAGES, "--sampler", "ddim", prompted=False)
    assert line == f"--sampler ddim: {VIDEO} takes euler: give one of these"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--handover", 0), "handover must be above 0 and below 1, not 0.0"),
        (("--handover", 1), "handover must be above 0 and below 1, not 1.0"),
        (("--handover", 0.0001), "handover 0.0001 leaves the base none of 6 steps: raise it, or take more steps"),
        (("--handover", 0.9999), "handover 0.9999 leaves the refiner none of 6 steps: lower it, or take more steps"),
        (
            ("--cache-interval", 3),
            "--refiner: the refiner runs 2 of the steps: interval must be between 1 and the number of steps (2), not 3 "
            "(or change --handover)",
        ),
    ],
)
def test_where_the_refiner_begins(sdxl, refiner, refused, given, message):
    assert refused(sdxl, "--refiner", refiner, *given) == message
    assert not Path("out").exists()


def test_what_is_no_base_and_no_refiner(sd, sdxl, refiner, animatediff, refused):
    base = "give an SDXL base as --checkpoint"
    assert refused(sd, "--refiner", refiner) == f"--refiner: {sd} is a StableDiffusionPipeline: {base}"
    assert refused(refiner, "--refiner", refiner) == f"--refiner: {refiner} is a refiner itself: {base}"
    for other, kind in ((sd, "StableDiffusionPipeline"), (sdxl, "StableDiffusionXLPipeline")):
        line = refused(sdxl, "--refiner", other)
        assert line == f"--refiner {other}: a {kind} refines none: give one of StableDiffusionXLImg2ImgPipeline"
    assert refused(sdxl, "--refiner", "nowhere").startswith("nowhere: no such checkpoint: give a folder in diffusers'")
    line = refused(sdxl, "--refiner", refiner, "--motion-adapter", animatediff[1])
    assert line == "--motion-adapter: a refiner goes on from images alone: leave one of the two out"


def test_a_refiner_for_other_latents(sdxl, refused, tmp_path):
    folder = save_sdxl(tmp_path / "refiner", refiner=True)
    one_level = {"block_out_channels": (8,), "down_block_types": ("DownEncoderBlock2D",), "norm_num_groups": 4}
    AutoencoderKL(**one_level, up_block_types=("UpDecoderBlock2D",), latent_channels=4).save_pretrained(folder / "vae")
    assert refused(sdxl, "--refiner", folder).startswith("--refiner: its first stage makes latents of another size")


def test_an_encoder_of_pictures_without_its_weights(refused, tmp_path):
    folder = save_video(tmp_path / "svd")
    config = folder / "image_encoder/config.json"
    content = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**content, "num_hidden_layers": 2}), encoding="utf-8")
    line = refused(folder, *IMAGES, prompted=False)
    assert line.startswith(f"{folder}: diffusers cannot load it (") and "its weights are another model's" in line


def test_what_motion_modules_do_not_go_into(sdxl, animatediff, stable_video, sd, refused, tmp_path):
    whole, adapter = animatediff
    for other, kind in (
        (sdxl, "StableDiffusionXLPipeline"),
        (whole, "AnimateDiffPipeline"),
        (stable_video, "StableVideoDiffusionPipeline"),
    ):
        line = refused(other, "--motion-adapter", adapter)
        assert line == f"--motion-adapter: it goes into Stable Diffusion 1 and 2, not {kind}: leave it out"
    given = (sd, "--motion-adapter")
    line = refused(*given, "nowhere")
    assert line == "--motion-adapter nowhere: no config.json there: give the folder of a MotionAdapter"
    assert refused(*given, sd / "unet").endswith("unet: a UNet2DConditionModel: give the folder of a MotionAdapter")
    torch.manual_seed(0)
    for channels in ((8, 16, 16), (16, 32)):
        MotionAdapter(channels, motion_num_attention_heads=2, motion_norm_num_groups=4).save_pretrained("other")
        assert refused(*given, "other").startswith(f"{sd}: diffusers cannot load it (")
    weights = Path("other/diffusion_pytorch_model.safetensors")
    weights.write_bytes(weights.read_bytes()[:100])
    assert refused(*given, "other").startswith("--motion-adapter other: diffusers cannot load it (")


def test_sizes_and_lengths_of_videos(animatediff, stable_video, refused):
    line = refused(animatediff[0], "--frames", 33)
    assert line == "--frames 33: these motion modules know at most 32: lower it"
    line = refused(stable_video, *IMAGES, "--height", 20, prompted=False)
    assert line == "height must be divisible by 8 for this checkpoint, not 20"


def test_the_levels_of_a_u_net_decide_which_sizes_stable_video_has(generate, refused, tmp_path):
    pipe = others.from_a_picture(tmp_path)
    down, up = ["DownBlockSpatioTemporal"] * 4, ["UpBlockSpatioTemporal"] * 4
    pipe.unet = make_unet_spatio_temporal(
        in_channels=8,
        block_out_channels=[32] * 5,
        num_attention_heads=[2] * 5,
        down_block_types=["CrossAttnDownBlockSpatioTemporal", *down],
        up_block_types=[*up, "CrossAttnUpBlockSpatioTemporal"],
    )
    pipe.save_pretrained(tmp_path / "deep")
    given = (tmp_path / "deep", *IMAGES, "--width", 32, "--steps", 1)
    line = refused(*given, "--height", 24, prompted=False)
    assert line == "height must be divisible by 16 for this checkpoint, not 24"
    assert generate(*given, "--height", 16, prompted=False)[0].shape == (9, 16, 32, 3)


@pytest.mark.parametrize(("program", "options"), [("tune.py", ("--speedup", 2)), ("export.py", ("--branch", 1))])
def test_other_programs_take_images_alone(animatediff, stable_video, call, capsys, place, program, options):
    for folder in (animatediff[0], stable_video):
        assert call(program, "--checkpoint", folder, "--output", "out.json", *options) == 1
        line = capsys.readouterr().err.splitlines()[-1]
        unknown, pictures = "Pipeline is not among the known pipelines (StableDiff", "starts from pictures, and what is"
        assert (pictures if (program, folder) == ("tune.py", stable_video) else unknown) in line
