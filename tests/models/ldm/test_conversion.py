"""What a conversion writes, and what it refuses."""

import argparse
import importlib.util
import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel, VQModel
from safetensors.torch import load_file, save_file

from deepcache import DeepCacheError, cli
from deepcache.models.checkpoint_sources import CONVERTERS
from deepcache.models.ldm import convert, load_compvis, read_state_dict
from deepcache.models.ldm_pipeline import ClassEmbedder, LDMClassPipeline
from deepcache.models.paper import ldm4g_imagenet
from tests.models.ldm.compvis import CONV_IN, LAYER, SCRIPT, keys_and_shapes


def test_converted_folder(folder, state_dict):
    assert {path.name for path in folder.iterdir()} == {
        "model_index.json",
        "unet",
        "vqvae",
        "class_embedder",
        "scheduler",
    }
    assert json.loads((folder / "model_index.json").read_text(encoding="utf-8"))["_class_name"] == "LDMClassPipeline"
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
        (
            lambda path: path.write_text("<!DOCTYPE html>\n<html>not found</html>", encoding="utf-8"),
            "damaged, or no checkpoint",
        ),
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
    (tmp_path / "mine/notes.txt").write_text("keep", encoding="utf-8")
    for output in (tmp_path / "mine", tmp_path / "mine/notes.txt"):
        with pytest.raises(SystemExit):
            run(program, monkeypatch, checkpoint, output)
        assert "holds no model_index.json, so it is not replaced" in capsys.readouterr().err
    assert (tmp_path / "mine/notes.txt").read_text(encoding="utf-8") == "keep"

    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier/model_index.json").write_text("{}", encoding="utf-8")
    run(program, monkeypatch, checkpoint, tmp_path / "earlier")
    assert (tmp_path / "earlier/unet/config.json").exists()


def test_a_download_is_converted_by_name(checkpoint, folder, tmp_path):
    CONVERTERS["ldm"](checkpoint, tmp_path / "converted")
    converted, program = (
        load_file(one / "unet/diffusion_pytorch_model.safetensors") for one in (tmp_path / "converted", folder)
    )
    assert converted.keys() == program.keys()
    assert all(torch.equal(tensor, program[key]) for key, tensor in converted.items())
