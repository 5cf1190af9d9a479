"""The architectures of the digits models; the shipped digits-ldm reconstructs digits and makes those asked for."""

from pathlib import Path

import pytest
import torch

from deepcache.caching.branches import num_branches
from deepcache.data.digits import load_digits
from deepcache.models import digits, paper
from deepcache.models.classifier import DigitsClassifier
from deepcache.models.ldm_pipeline import LDMClassPipeline

CHECKPOINTS = Path(__file__).resolve().parents[2] / "resources/checkpoints"
LDM = CHECKPOINTS / "digits-ldm"


def parameters(model: torch.nn.Module) -> int:
    return sum(weights.numel() for weights in model.parameters())


@pytest.fixture(scope="module")
def pipe() -> LDMClassPipeline:
    pipe = LDMClassPipeline.from_pretrained(LDM)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def data() -> torch.Tensor:
    return load_digits(digits.LDM_IMAGE_SIZE)[0].float() / 127.5 - 1


def test_unets_have_twelve_branches():
    for unet in (digits.digits_ddpm_unet(), digits.digits_ldm_unet()):
        assert num_branches(unet) == 12


def test_ldm_unet_is_ldm4g_in_miniature():
    ours, theirs = digits.digits_ldm_unet(), paper.ldm4g_imagenet()
    for setting in ("layers_per_block", "down_block_types", "up_block_types", "in_channels", "attention_head_dim"):
        assert ours.config[setting] == theirs.config[setting], setting
    assert 1.5e6 < parameters(ours) < 2e6
    context = digits.digits_ldm_classes()(torch.tensor([0, 10]))
    assert context.shape == (2, 1, digits.LDM_CONTEXT)
    noise = ours(torch.zeros(2, 3, 8, 8), 0, encoder_hidden_states=context).sample
    assert noise.shape == (2, 3, 8, 8)


def test_first_stage_has_factor_4_and_a_codebook():
    vqvae = digits.digits_ldm_vqvae()
    assert parameters(vqvae) < 1e6
    latents = vqvae.encode(torch.zeros(2, 1, 32, 32)).latents
    assert latents.shape == (2, 3, 8, 8)
    assert vqvae.quantize(latents)[2][2].max() < vqvae.config.num_vq_embeddings == 256
    assert vqvae.decode(latents).sample.shape == (2, 1, 32, 32)


def test_ldm_scheduler_ends_at_the_first_alpha():
    scheduler = digits.ldm_scheduler()
    assert scheduler.final_alpha_cumprod == scheduler.alphas_cumprod[0]
    assert scheduler.config.steps_offset == 1
    assert 1 - scheduler.alphas_cumprod[0] == pytest.approx(0.0015, rel=1e-3)


def test_shipped_first_stage_reconstructs_digits(pipe, data):
    with torch.inference_mode():
        latents = pipe.vqvae.encode(data[::5]).latents
        error = (pipe.vqvae.decode(latents).sample.clamp(-1, 1) - data[::5]).square().mean()
        entries = pipe.vqvae.quantize(latents)[2][2].unique()
    assert 10 * torch.log10(4 / error) > 30
    assert len(entries) > 200
    assert (latents * pipe.vqvae.config.scaling_factor).std() == pytest.approx(1, abs=0.02)


def test_shipped_model_makes_the_digits_that_are_asked_for(pipe):
    classifier = DigitsClassifier.from_pretrained(CHECKPOINTS / "digits-classifier")
    labels = torch.arange(10).repeat(2)
    generator = torch.Generator().manual_seed(0)
    images = pipe(labels, num_inference_steps=20, generator=generator, output_type="pt").images
    assert images.shape == (20, 1, 32, 32)
    read = classifier((images * 255).round().to(torch.uint8)).argmax(1)
    assert (read == labels).sum() >= 19


def test_shipped_model_is_small_and_in_fp16(pipe):
    assert sum(path.stat().st_size for path in LDM.rglob("*")) < 5e6
    assert {pipe.unet.dtype, pipe.vqvae.dtype, pipe.class_embedder.dtype} == {torch.float32}, "float32 when loaded"
    assert parameters(pipe.unet) + parameters(pipe.vqvae) + parameters(pipe.class_embedder) == pytest.approx(
        sum(path.stat().st_size for path in LDM.rglob("*.safetensors")) / 2, rel=0.05
    )
