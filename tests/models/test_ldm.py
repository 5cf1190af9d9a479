import argparse
import csv
import importlib.util
import json
import math
import pickle
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel, VQModel
from safetensors.torch import load_file, safe_open, save_file

from deepcache import DeepCache, DeepCacheError, cli
from deepcache.models.ldm import convert, load_compvis, read_state_dict
from deepcache.models.ldm_pipeline import ClassEmbedder, LDMClassPipeline
from deepcache.models.paper import ldm4g_imagenet
from deepcache.models.sources import CONVERTERS
from tests.caching import reference

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "workflow/scripts/convert_ldm.py"
DATA = Path(__file__).with_name("data") / "ldm"
VECTORS = DATA / "compvis_vectors.safetensors"
CONV_IN = "model.diffusion_model.input_blocks.0.0.weight"
LAYER = "model.diffusion_model.input_blocks.4.0.in_layers.2.weight"


def keys_and_shapes(file: str) -> dict[str, tuple[int, ...]]:
    with (DATA / file).open() as lines:
        return {row["key"]: tuple(map(int, row["shape"].split("x"))) for row in csv.DictReader(lines)}


def draw(key: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    values = torch.randn(shape, generator=generator)
    if len(shape) == 1:
        return 0.1 * values + float(key.endswith("weight"))
    return values if "embedding" in key else values * math.prod(shape[1:]) ** -0.5


def error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference, relative to the expected norm."""
    return ((actual - expected).norm() / expected.norm()).item()


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    with safe_open(VECTORS, "pt") as file:
        return file.metadata()


@pytest.fixture(scope="module")
def vectors() -> dict[str, torch.Tensor]:
    return load_file(VECTORS)


@pytest.fixture(scope="module")
def state_dict(settings) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(int(settings["weights_seed"]))
    shapes = keys_and_shapes("compvis_vectors_keys.csv")
    return {key: draw(key, shape, generator) for key, shape in shapes.items()}


@pytest.fixture(scope="module")
def checkpoint(state_dict, tmp_path_factory) -> Path:
    """The tiny model as Lightning would have left it in training, with classes that are not installed here."""
    names = ["pytorch_lightning", "pytorch_lightning.callbacks", "pytorch_lightning.callbacks.model_checkpoint"]
    callback = type("ModelCheckpoint", (), {"__module__": names[-1]})
    modules = {name: types.ModuleType(name) for name in names}
    modules[names[-1]].ModelCheckpoint = callback
    ignored = {
        "betas": torch.zeros(1000),
        "logvar": torch.zeros(1000),
        "model_ema.decay": torch.tensor(0.9999),
        "model_ema.diffusion_modelinput_blocks00weight": torch.zeros(3),
        "first_stage_model.loss.discriminator.main.0.weight": torch.zeros(2, 2),
        "first_stage_model.model_ema.decay": torch.tensor(0.9999),
    }
    content = {
        "state_dict": {**state_dict, **ignored},
        "epoch": 3,
        "global_step": 178000,
        "callbacks": {callback: {"best_model_score": torch.tensor(0.3), "best_model_path": "", "saver": callback()}},
        "lr_schedulers": [{"last": np.float64(1e-4)}],
    }
    path = tmp_path_factory.mktemp("compvis") / "model.ckpt"
    with pytest.MonkeyPatch.context() as patch:
        for name, module in modules.items():
            patch.setitem(sys.modules, name, module)
        torch.save(content, path)
    return path


@pytest.fixture(scope="module")
def folder(checkpoint, settings, tmp_path_factory) -> Path:
    """The tiny model after the command-line program."""
    output = tmp_path_factory.mktemp("diffusers") / "ldm"
    command = [sys.executable, SCRIPT, "--checkpoint", checkpoint, "--output", output]
    done = subprocess.run([*command, "--latent-size", settings["latent_size"]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="module")
def loaded(folder) -> LDMClassPipeline:
    pipe = LDMClassPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def pipe(loaded) -> LDMClassPipeline:
    yield loaded
    assert "forward" not in vars(loaded.unet)


def sample(pipe, vectors, settings, **options) -> torch.Tensor:
    steps, scale = int(settings["ddim_steps"]), float(settings["guidance_scale"])
    options = {"num_inference_steps": steps, "guidance_scale": scale, "output_type": "latent", **options}
    return pipe(vectors["labels"], latents=vectors["x_T"], **options).images


# The converted model computes what the original one does


def test_the_drawn_weights_are_the_original_ones(state_dict, settings):
    weights = [tensor.double() for tensor in state_dict.values()]
    assert sum(tensor.sum().item() for tensor in weights) == pytest.approx(float(settings["weights_sum"]), rel=1e-12)
    total = sum(tensor.abs().sum().item() for tensor in weights)
    assert total == pytest.approx(float(settings["weights_abs_sum"]), rel=1e-12)


@torch.no_grad()
def test_unet_full_and_shallow(pipe, vectors):
    context = pipe.class_embedder(vectors["labels"])
    assert context.shape == (2, 1, 16)
    assert error(pipe.unet(vectors["x"], vectors["t"], context).sample, vectors["eps_full"]) < 1e-5
    with DeepCache(pipe.unet, interval=2, branch=0) as cache:
        cache.start_trajectory()
        pipe.unet(vectors["x"], vectors["t"], context)
        shallow = pipe.unet(vectors["x2"], vectors["t"], context).sample
        assert cache.full_steps == (0,)
    assert error(shallow, vectors["eps_shallow_after_full"]) < 1e-5


def test_ddim_with_guidance(pipe, vectors, settings):
    assert error(sample(pipe, vectors, settings), vectors["latents_full"]) < 1e-5
    assert pipe.scheduler.timesteps.tolist() == sorted(map(int, settings["ddim_timesteps"].split(",")), reverse=True)


def test_ddim_with_caching(pipe, vectors, settings):
    with DeepCache(pipe, interval=int(settings["interval"]), branch=0) as cache:
        latents = sample(pipe, vectors, settings)
        assert cache.full_steps == (0, 3, 6, 9, 12)
    assert error(latents, vectors["latents_uniform_n3"]) < 1e-5
    assert error(latents, vectors["latents_full"]) > 0.01


@torch.no_grad()
def test_first_stage(pipe, vectors):
    assert error(pipe.vqvae.decode(vectors["latents_uniform_n3"]).sample, vectors["decoded"]) < 1e-4
    assert error(pipe.vqvae.encode(vectors["decoded"]).latents, vectors["encoded"]) < 1e-4


def test_images_are_decoded_through_the_codebook(pipe, vectors, settings):
    with DeepCache(pipe, interval=3, branch=0):
        images = sample(pipe, vectors, settings, output_type="np")
    expected = (vectors["decoded"] / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    assert images.shape == (2, 64, 64, 3)
    assert error(torch.from_numpy(images), expected) < 1e-4


# The pipeline


@pytest.mark.parametrize("branch", [0, 2, 3])
def test_caching_equals_the_feature_overridden(pipe, vectors, settings, branch, monkeypatch):
    # The reference names the feeders of Stable Diffusion, whose outermost level has attention.
    feeders = (*reference.FEEDERS["UNet2DModel"][:2], *reference.FEEDERS["UNet2DConditionModel"][2:])
    monkeypatch.setitem(reference.FEEDERS, "UNet2DConditionModel", feeders)
    with DeepCache(pipe, interval=3, branch=branch):
        cached = sample(pipe, vectors, settings)
    with reference.overridden(pipe.unet, branch, range(0, 13, 3)):
        assert torch.equal(sample(pipe, vectors, settings), cached)


def test_round_trip(pipe, vectors, settings, tmp_path):
    pipe.save_pretrained(tmp_path / "again")
    again = LDMClassPipeline.from_pretrained(tmp_path / "again")
    for name in ("unet", "vqvae", "class_embedder"):
        before, after = getattr(pipe, name).state_dict(), getattr(again, name).state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)
    assert dict(again.scheduler.config) == dict(pipe.scheduler.config)
    again.set_progress_bar_config(disable=True)
    options = {"num_inference_steps": 2}
    assert torch.equal(sample(again, vectors, settings, **options), sample(pipe, vectors, settings, **options))


def test_noise_is_drawn_from_the_generator(pipe):
    def images(seed, **options):
        generator = torch.Generator().manual_seed(seed)
        return pipe([1, 2], num_inference_steps=2, generator=generator, output_type="latent", **options).images

    assert torch.equal(images(0, eta=1.0), images(0, eta=1.0))
    assert not torch.equal(images(0, eta=1.0), images(0))
    assert not torch.equal(images(0), images(1))


def test_no_guidance_halves_the_batch(pipe, vectors, settings):
    batches = []
    handle = pipe.unet.register_forward_pre_hook(lambda module, args: batches.append(len(args[0])))
    without = sample(pipe, vectors, settings, num_inference_steps=2, guidance_scale=1)
    almost = sample(pipe, vectors, settings, num_inference_steps=2, guidance_scale=1 + 1e-6)
    handle.remove()
    assert batches == [2, 2, 4, 4]
    assert error(without, almost) < 1e-4


def test_one_label_makes_one_image_of_the_models_size(pipe):
    (image,) = pipe(9, num_inference_steps=2, generator=torch.Generator().manual_seed(0)).images
    assert image.size == (64, 64)
    assert pipe(9, num_inference_steps=2, output_type="pt", return_dict=False)[0].shape == (1, 3, 64, 64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"class_labels": 10}, "class_labels must be integers from 0 to 9, not 10"),
        ({"class_labels": [0, -1]}, "class_labels must be integers"),
        ({"class_labels": 1.5}, "class_labels must be integers"),
        ({"class_labels": []}, "class_labels must be integers"),
        ({"class_labels": 1, "num_inference_steps": 0}, "must be an integer from 1 to 1000, not 0"),
        ({"class_labels": 1, "num_inference_steps": 37}, "first timestep would be 1000, beyond the last one"),
        ({"class_labels": 1, "latents": torch.zeros(2, 3, 8, 8)}, r"latents must have shape \(1, 3, H, W\)"),
        ({"class_labels": 1, "output_type": "jpeg"}, "output_type must be pil, np, pt or latent, not 'jpeg'"),
    ],
)
def test_arguments_that_cannot_be(pipe, arguments, message):
    with pytest.raises(DeepCacheError, match=message):
        pipe(**arguments)


# What is written


def test_converted_folder(folder, state_dict):
    assert {path.name for path in folder.iterdir()} == {
        "model_index.json",
        "unet",
        "vqvae",
        "class_embedder",
        "scheduler",
    }
    assert json.loads((folder / "model_index.json").read_text())["_class_name"] == "LDMClassPipeline"
    classes = load_file(folder / "class_embedder/model.safetensors")
    assert classes.keys() == {"embedding.weight"}
    assert torch.equal(classes["embedding.weight"], state_dict["cond_stage_model.embedding.weight"])
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet")
    assert tuple(unet.config.block_out_channels) == (32, 32, 64, 64)
    assert torch.equal(unet.conv_in.weight, state_dict[CONV_IN])
    vqvae = VQModel.from_pretrained(folder / "vqvae")
    assert vqvae.config.sample_size == 64
    assert torch.equal(vqvae.quantize.embedding.weight, state_dict["first_stage_model.quantize.embedding.weight"])


@pytest.mark.filterwarnings("ignore:`torch_dtype` is deprecated")
def test_half_precision(state_dict, settings, tmp_path):
    half = convert(state_dict, torch.float16, int(settings["latent_size"]))
    half.save_pretrained(tmp_path)
    stored = load_file(tmp_path / "unet/diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    assert ClassEmbedder.from_pretrained(tmp_path, subfolder="class_embedder").dtype == torch.float32
    again = LDMClassPipeline.from_pretrained(tmp_path, torch_dtype=torch.float16)
    assert {part.dtype for part in (again.unet, again.vqvae, again.class_embedder)} == {torch.float16}


def test_the_official_key_list_is_the_papers_model():
    shapes = keys_and_shapes("cin256_v2_keys.csv")
    pipe = convert({key: torch.empty(shape, device="meta") for key, shape in shapes.items()})
    expected = ldm4g_imagenet()
    assert dict(pipe.unet.config) == dict(expected.config)
    assert {key: value.shape for key, value in pipe.unet.state_dict().items()} == {
        key: value.shape for key, value in expected.state_dict().items()
    }
    parts = (pipe.unet, pipe.vqvae, pipe.class_embedder)
    total = sum(value.numel() for part in parts for value in part.state_dict().values())
    assert total == sum(map(math.prod, shapes.values())) == 456_755_873
    assert pipe.num_classes == 1000
    assert pipe.vqvae.config.sample_size == 256
    assert (pipe.vqvae.config.num_vq_embeddings, pipe.vqvae.config.vq_embed_dim) == (8192, 3)


def test_scale_factor_of_the_checkpoint_is_used(state_dict):
    assert convert(state_dict, latent_size=16).vqvae.config.scaling_factor == 1
    scaled = {**state_dict, "scale_factor": torch.tensor(0.5)}
    assert convert(scaled, latent_size=16).vqvae.config.scaling_factor == 0.5


@pytest.mark.parametrize("form", ["bare", "safetensors", "before 1.6"])
def test_other_forms_of_a_checkpoint(state_dict, tmp_path, form):
    path = tmp_path / ("model.safetensors" if form == "safetensors" else "model.ckpt")
    if form == "safetensors":
        save_file(state_dict, path)
    else:
        torch.save(state_dict, path, _use_new_zipfile_serialization=form == "bare")
    found = read_state_dict(path)
    assert found.keys() == state_dict.keys()
    assert all(torch.equal(found[key], state_dict[key]) for key in found)


# What is refused


class Intruder:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("how", ["in the state dict", "beside the state dict", "plain pickle", "before 1.6"])
def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(state_dict, tmp_path, how):
    path, trace = tmp_path / "model.ckpt", tmp_path / "trace"
    intruder = Intruder(trace)
    if how == "in the state dict":
        torch.save({"state_dict": {**state_dict, "betas": intruder}}, path)
    elif how == "plain pickle":
        path.write_bytes(pickle.dumps({"state_dict": intruder}, protocol=2))
    else:
        torch.save({"state_dict": state_dict, "epoch": intruder}, path, _use_new_zipfile_serialization=how[0] != "b")
    with pytest.raises(DeepCacheError, match=r"model\.ckpt: refused: a pickle that wants \S*open, which could run"):
        load_compvis(path)
    assert not trace.exists()


def edited(state_dict, **changes):
    return {key: value for key, value in {**state_dict, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({LAYER: None}, rf"keys .* do not make an LDM-4-G: 1 missing: {LAYER}$"),
        ({CONV_IN: None}, rf"missing: {CONV_IN}, which tells a size$"),
        ({"cond_stage_model.embedding.weight": None}, r"1 missing: cond_stage_model\.embedding\.weight$"),
        ({"first_stage_model.quantize.embedding.weight": None}, r"missing: first_stage_model\.quantize"),
        (
            {"model.diffusion_model.label_emb.0.bias": torch.zeros(3)},
            r"1 unexpected: model\.diffusion_model\.label_emb",
        ),
        ({LAYER: torch.zeros(32, 31, 3, 3)}, r"conv1\.weight has shape \(32, 31, 3, 3\), not \(32, 32, 3, 3\)$"),
        ({CONV_IN: torch.zeros(32)}, r"shape \(32,\) has too few dimensions$"),
        ({"scale_factor": torch.ones(2)}, "scale_factor is no single number$"),
        ({LAYER: 3}, rf"{LAYER} is no tensor \(int\)$"),
    ],
)
def test_keys_and_shapes_at_fault_are_named(state_dict, changes, message):
    with pytest.raises(DeepCacheError, match=message) as caught:
        convert(edited(state_dict, **changes), latent_size=16)
    assert "\n" not in str(caught.value)


def test_at_most_a_few_keys_are_named_and_all_are_counted(state_dict):
    extra = {f"first_stage_model.extra.{number}": torch.zeros(1) for number in range(9)}
    kept = {key: value for key, value in state_dict.items() if ".middle_block.1." not in key}
    with pytest.raises(DeepCacheError, match=r"26 missing: .*, \.\.\.; 9 unexpected: .*, \.\.\.$") as caught:
        convert({**kept, **extra}, latent_size=16)
    assert str(caught.value).count("model.diffusion_model.middle_block.1.") == 4


def test_other_models_are_refused(state_dict):
    with pytest.raises(DeepCacheError, match=r"no key begins with .* among 1 \(conv\.weight\)"):
        convert({"conv.weight": torch.zeros(1)})
    without_classes = {key: value for key, value in state_dict.items() if ".attn2." not in key}
    with pytest.raises(DeepCacheError, match="no layer attends to the class"):
        convert(without_classes)
    first_stage_gone = {key: value for key, value in state_dict.items() if not key.startswith("first_stage_model.")}
    with pytest.raises(DeepCacheError, match="no first stage"):
        convert(first_stage_gone)
    uneven = {key: value for key, value in state_dict.items() if "input_blocks.11." not in key}
    with pytest.raises(DeepCacheError, match=r"levels have \[2, 2, 2, 1\] layers"):
        convert(uneven)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
@pytest.mark.parametrize("kind", ["ckpt", "safetensors"])
def test_truncated_files_are_refused(checkpoint, state_dict, tmp_path, kind, share):
    path = tmp_path / f"model.{kind}"
    if kind == "ckpt":
        path.write_bytes(checkpoint.read_bytes())
    else:
        save_file(state_dict, path)
    with path.open("r+b") as file:
        file.truncate(int(share * path.stat().st_size))
    with pytest.raises(DeepCacheError, match=rf"model\.{kind}: damaged, or no ") as caught:
        load_compvis(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_text("<!DOCTYPE html>\n<html>not found</html>"), "damaged, or no checkpoint"),
        (lambda path: torch.save([torch.zeros(2)], path), "holds no state dict"),
        (lambda path: torch.save({"state_dict": 3}, path), "holds no state dict"),
        (lambda path: torch.save({0: torch.zeros(2)}, path), "holds no state dict"),
        (lambda path: path.write_bytes(pickle.dumps({}, protocol=4)), "damaged, or no checkpoint"),
        (lambda path: np.savez(path.open("wb"), weight=np.zeros(2)), "damaged, or no checkpoint"),
        (lambda path: path.mkdir(), "no such file"),
        (lambda path: None, "no such file"),
    ],
)
def test_files_that_are_no_checkpoint(tmp_path, write, message):
    path = tmp_path / "model.ckpt"
    write(path)
    with pytest.raises(DeepCacheError, match=rf"model\.ckpt: {message}") as caught:
        load_compvis(path)
    assert "\n" not in str(caught.value)


@pytest.fixture
def program():
    spec = importlib.util.spec_from_file_location("convert_ldm", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(program, monkeypatch, checkpoint, output):
    arguments = argparse.Namespace(checkpoint=checkpoint, output=output, dtype="fp16", latent_size=16, log=None)
    parser = argparse.ArgumentParser()
    monkeypatch.setattr(parser, "parse_args", lambda: arguments)
    cli.run(program.main, parser)


def test_program_writes_everything_or_nothing(program, monkeypatch, capsys, checkpoint, tmp_path):
    bad = tmp_path / "bad.ckpt"
    torch.save({"state_dict": {CONV_IN: Intruder(tmp_path / "trace")}}, bad)
    with pytest.raises(SystemExit) as end:
        run(program, monkeypatch, bad, tmp_path / "out")
    assert end.value.code == 1
    message = capsys.readouterr().err
    assert message.startswith(f"error: {bad}: refused: ")
    assert message.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bad.ckpt"]

    monkeypatch.setattr(LDMClassPipeline, "save_pretrained", lambda pipe, folder: folder.mkdir() or 1 // 0)
    with pytest.raises(SystemExit):
        run(program, monkeypatch, checkpoint, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.ckpt"]


def test_program_replaces_only_an_earlier_conversion(program, monkeypatch, capsys, checkpoint, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    for output in (tmp_path / "mine", tmp_path / "mine/notes.txt"):
        with pytest.raises(SystemExit):
            run(program, monkeypatch, checkpoint, output)
        assert "holds no model_index.json, so it is not replaced" in capsys.readouterr().err
    assert (tmp_path / "mine/notes.txt").read_text() == "keep"

    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier/model_index.json").write_text("{}")
    run(program, monkeypatch, checkpoint, tmp_path / "earlier")
    assert (tmp_path / "earlier/unet/config.json").exists()


def test_a_download_is_converted_by_name(checkpoint, folder, tmp_path):
    CONVERTERS["ldm"](checkpoint, tmp_path / "converted")
    converted, program = (
        load_file(one / "unet/diffusion_pytorch_model.safetensors") for one in (tmp_path / "converted", folder)
    )
    assert converted.keys() == program.keys()
    assert all(torch.equal(tensor, program[key]) for key, tensor in converted.items())
