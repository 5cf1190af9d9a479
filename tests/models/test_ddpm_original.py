"""The original DDPM weights, converted, compute what the paper's network computes; what is refused."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from diffusers import UNet2DModel

from deepcache import DeepCacheError
from deepcache.models.ddpm_original import convert, load_original
from deepcache.models.paper import ddpm_cifar10, ddpm_lsun256
from deepcache.sampler import Sampler
from deepcache.sampling.families import load_model
from tests.models.ldm.compvis import draw, error

CHANNELS, ATTENTION = (32, 64, 64, 96), {1}
SHORTCUT, QUERY, CONV_IN = "down.1.block.0.nin_shortcut.weight", "down.1.attn.1.q.weight", "conv_in.weight"
X, T = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 7, 500, 999])
CIFAR10 = (ddpm_cifar10, 32, (128, 256, 256, 256), {1}, "35.7")
LSUN = (ddpm_lsun256, 256, (128, 128, 256, 256, 512, 512), {4}, "113.7")


class Network:
    """The network of Ho et al. (2020), appendix B, in the precision of its weights; those it lacks it makes."""

    def __init__(self, channels, attention, weights=None, make=None):
        self.channels, self.attention, self.weights, self.make = channels, attention, weights or {}, make

    def of(self, name, *shape):
        for key, size in ((f"{name}.weight", shape), (f"{name}.bias", shape[:1])):
            if key not in self.weights:
                self.weights[key] = self.make(key, size)
        return self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]

    def conv(self, name, x, width, kernel=3, **options):
        return F.conv2d(x, *self.of(name, width, x.shape[1], kernel, kernel), **options)

    def dense(self, name, x, width):
        return F.linear(x, *self.of(name, width, x.shape[1]))

    def norm(self, name, x):
        return F.group_norm(x, 32, *self.of(name, x.shape[1]), eps=1e-6)

    def block(self, name, x, width, time):
        h = self.conv(f"{name}.conv1", F.silu(self.norm(f"{name}.norm1", x)), width, padding=1)
        h = h + self.dense(f"{name}.temb_proj", F.silu(time), width)[..., None, None]
        h = self.conv(f"{name}.conv2", F.silu(self.norm(f"{name}.norm2", h)), width, padding=1)
        return h + (self.conv(f"{name}.nin_shortcut", x, width, 1) if x.shape[1] != width else x)

    def attend(self, name, x):
        normed, width = self.norm(f"{name}.norm", x), x.shape[1]
        query, key, value = (self.conv(f"{name}.{part}", normed, width, 1).flatten(2) for part in "qkv")
        share = torch.softmax(torch.einsum("bci,bcj->bij", query, key) / math.sqrt(width), dim=-1)
        return x + self.conv(f"{name}.proj_out", torch.einsum("bij,bcj->bci", share, value).reshape(x.shape), width, 1)

    def layer(self, half, level, number, x, time):
        x = self.block(f"{half}.{level}.block.{number}", x, self.channels[level], time)
        return self.attend(f"{half}.{level}.attn.{number}", x) if level in self.attention else x

    def __call__(self, x, waves):
        """Predict the noise in images x (B, 3, H, W), given the sines and cosines of their timesteps, (B, channels)."""
        colours, width = x.shape[1], self.channels[0]
        time = self.dense("temb.dense.1", F.silu(self.dense("temb.dense.0", waves, 4 * width)), 4 * width)
        x = self.conv("conv_in", x, width, padding=1)
        skips = [x]
        for level in range(len(self.channels)):
            if level > 0:
                x = self.conv(f"down.{level - 1}.downsample.conv", F.pad(x, (0, 1, 0, 1)), x.shape[1], stride=2)
                skips.append(x)
            for number in range(2):
                x = self.layer("down", level, number, x, time)
                skips.append(x)
        x = self.attend("mid.attn_1", self.block("mid.block_1", x, x.shape[1], time))
        x = self.block("mid.block_2", x, x.shape[1], time)
        for level in reversed(range(len(self.channels))):
            for number in range(3):
                x = self.layer("up", level, number, torch.cat([x, skips.pop()], dim=1), time)
            if level > 0:
                x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
                x = self.conv(f"up.{level}.upsample.conv", x, x.shape[1], padding=1)
        return self.conv("conv_out", F.silu(self.norm("norm_out", x)), colours, padding=1)


def waves(timesteps, size, dtype=torch.float32):
    """Sines, then cosines, of timesteps (B,) times frequencies that fall from 1 to 1 / 10,000; (B, size)."""
    half = size // 2
    frequencies = torch.exp(-math.log(10_000) * torch.arange(half, dtype=dtype) / (half - 1))
    angles = timesteps.to(dtype)[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    network = Network(CHANNELS, ATTENTION, make=lambda key, shape: draw(key, shape, generator))
    network(torch.zeros(1, 3, 32, 32), torch.zeros(1, CHANNELS[0]))
    return network.weights


# In float64 with waves as float32 rounds them, as the model does; with exact waves; all in float32.
@torch.no_grad()
@pytest.mark.parametrize(("bits", "wave_bits", "most"), [(64, 32, 1e-13), (64, 64, 1e-6), (32, 32, 3e-6)])
def test_the_network_is_the_original_one(weights, bits, wave_bits, most):
    kinds = {32: torch.float32, 64: torch.float64}
    network = Network(CHANNELS, ATTENTION, {key: value.to(kinds[bits]) for key, value in weights.items()})
    expected = network(X.to(kinds[bits]), waves(T, CHANNELS[0], kinds[wave_bits]).to(kinds[bits]))
    unet = convert(weights).unet
    assert not unet.training
    actual = (unet.double() if bits == 64 else unet)(X.to(kinds[bits]), T).sample
    assert max(map(error, actual, expected)) < most


CHANGES = {"norm_eps": 1e-5, "freq_shift": 0, "flip_sin_to_cos": True, "attention_head_dim": 8, "downsample_padding": 1}


@torch.no_grad()
@pytest.mark.parametrize("setting", CHANGES)
def test_every_setting_matters(weights, setting):
    right = convert(weights).unet.double()
    wrong = UNet2DModel(**{**right.config, setting: CHANGES[setting]}).double().eval()
    wrong.load_state_dict(right.state_dict())
    assert error(wrong(X.double(), T).sample, right(X.double(), T).sample) > 1e-5


@pytest.mark.parametrize(("build", "size", "channels", "attention", "millions"), [CIFAR10, LSUN])
def test_published_layouts_are_the_papers_models(build, size, channels, attention, millions):
    """Ho et al. count 35.7 and 114 million parameters, and add the larger variance for CIFAR-10 alone."""
    network = Network(channels, attention, make=lambda key, shape: torch.empty(shape, device="meta"))
    network(torch.empty(1, 3, size, size, device="meta"), torch.empty(1, channels[0], device="meta"))
    assert f"{sum(value.numel() for value in network.weights.values()) / 1e6:.1f}" == millions
    pipe, expected = convert(network.weights), build()
    assert dict(pipe.unet.config) == dict(expected.config)
    assert {key: value.shape for key, value in pipe.unet.state_dict().items()} == {
        key: value.shape for key, value in expected.state_dict().items()
    }
    assert pipe.scheduler.config.variance_type == ("fixed_large" if size == 32 else "fixed_small")


@pytest.mark.parametrize("form", ["bare", "wrapped", "before 1.6"])
def test_a_file_becomes_a_folder_that_samples(weights, tmp_path, form):
    path, folder = tmp_path / "model.ckpt", tmp_path / "ddpm"
    content = {"state_dict": weights, "global_step": 3} if form == "wrapped" else weights
    torch.save(content, path, _use_new_zipfile_serialization=form != "before 1.6")
    load_original(path).save_pretrained(folder)
    assert json.loads((folder / "model_index.json").read_text(encoding="utf-8"))["_class_name"] == "DDPMPipeline"
    scheduler = json.loads((folder / "scheduler/scheduler_config.json").read_text(encoding="utf-8"))
    wanted = {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear", "num_train_timesteps": 1000}
    assert wanted.items() <= scheduler.items() and scheduler["clip_sample"] is True
    model, expected = load_model(folder, "cpu"), convert(weights).unet.state_dict()
    assert all(torch.equal(value, expected.pop(key)) for key, value in model.unet.state_dict().items()) and not expected
    images = model.sample(range(2), 0, Sampler.parse("ddim-2"))
    assert images.shape == (2, 32, 32, 3) and images.std() > 10


FAULTS = [
    ({SHORTCUT: None}, rf"do not make the original DDPM: 1 missing: {SHORTCUT}$"),
    ({CONV_IN: None}, rf"missing: {CONV_IN}, which tells a size$"),
    ({"norm_out.bias": None, "extra": torch.zeros(1)}, r"1 missing: norm_out\.bias; 1 unexpected: extra$"),
    ({"down.0.block.9.conv1.bias": torch.zeros(32)}, r"108 missing: .*, \.\.\.; 1 unexpected: down\.0\.block\.9"),
    ({"down.1.block.0.conv1.weight": torch.zeros(60, 32, 3, 3)}, r"\(32, 60, 64, 96\) channels, not multiples of 32"),
    ({QUERY: torch.zeros(64, 64)}, rf"{QUERY} has shape \(64, 64\), not \(64, 64, 1, 1\)$"),
    ({"temb.dense.0.weight": torch.zeros(64, 32)}, r"dense\.0\.weight has shape \(64, 32\), not \(128, 32\)$"),
    ({CONV_IN: torch.zeros(32)}, r"shape \(32,\) has too few dimensions$"),
    ({SHORTCUT: 3}, rf"{SHORTCUT} is no tensor of floating-point numbers \(int\)$"),
    ({SHORTCUT: torch.zeros(1).int()}, r"floating-point numbers \(torch\.int32\)$"),
]


@pytest.mark.parametrize(("changes", "message"), FAULTS)
def test_keys_and_shapes_at_fault_are_named(weights, tmp_path, changes, message):
    path = tmp_path / "model.ckpt"
    torch.save({key: value for key, value in {**weights, **changes}.items() if value is not None}, path)
    with pytest.raises(DeepCacheError, match=message) as caught:
        load_original(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_image_sizes(weights):
    assert convert(weights, 64).unet.config.sample_size == 64
    with pytest.raises(DeepCacheError, match="image size 12: not a positive multiple of 8, as 4 levels need"):
        convert(weights, 12)
    with pytest.raises(DeepCacheError, match="must be given for 3 levels; it is known only as 32 for 4 levels, 256"):
        convert({key: value for key, value in weights.items() if not key.startswith(("down.3.", "up.3."))})
    with pytest.raises(DeepCacheError, match=r"no key begins with down\. among 1 \(betas\): not the original DDPM"):
        convert({"betas": torch.zeros(1000)})


class Intruder:
    def __reduce__(self):
        return print, ("code was run",)


def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(weights, tmp_path, capsys):
    torch.save({**weights, "extra": Intruder()}, tmp_path / "model.ckpt")
    with pytest.raises(DeepCacheError, match=r"model\.ckpt: refused: a pickle that wants \S*print, which") as caught:
        load_original(tmp_path / "model.ckpt")
    assert "\n" not in str(caught.value) and not capsys.readouterr().out
