"""Exported passes in the place of a pipeline's U-Net, against the U-Net itself."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from deepcache import DeepCache, DeepCacheError, Forecast, Plan
from deepcache.caching.fingerprint import fingerprint
from deepcache.export import export
from deepcache.export.exported_unet import ABOUT, ExportedUNet
from deepcache.export.pipelines import call_of, export_pipeline
from tests.caching.pipelines import extra_large, generate, text_to_image

MAKE = {"sd": text_to_image, "sdxl": extra_large}
BRANCH = {"sd": 1, "sdxl": 2}
CASES = [("sd", "torch"), ("sd", "onnx"), ("sdxl", "onnx")]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(pipeline, folder of its exported U-Net) of a case, made when it is first asked for."""
    made = {}

    def case(kind: str, runtime: str):
        if (kind, runtime) not in made:
            folder = tmp_path_factory.mktemp(f"{kind}-{runtime}")
            pipe = MAKE[kind](folder)
            found = export_pipeline(pipe, BRANCH[kind], folder / "unet", runtime, 1, guidance_scale=7.5)
            assert max(found.difference.values()) < 1e-4
            assert all(second > 0 for both in found.seconds.values() for second in both)
            made[kind, runtime] = pipe, folder / "unet"
        return made[kind, runtime]

    return case


@pytest.mark.parametrize(("kind", "runtime"), CASES)
def test_they_follow_the_same_schedules_and_forecasts(exported, kind, runtime):
    pipe, folder = exported(kind, runtime)
    own, theirs = pipe.unet, ExportedUNet(folder)

    def images(unet, **how):
        pipe.unet = unet
        try:
            if not how:
                return generate(pipe)
            with DeepCache(pipe, branch=BRANCH[kind], **how) as cache:
                made = generate(pipe)
                assert len(cache.full_steps) < cache.steps
                return made
        finally:
            pipe.unet = own

    plain = images(own)
    for how in ({}, {"interval": 2}, {"schedule": (0, 1), "reuse": Forecast(1)}):
        wanted = images(own, **how)
        assert torch.allclose(images(theirs, **how), wanted, rtol=0, atol=1e-4 * wanted.abs().max())
        assert not how or not torch.allclose(wanted, plain, rtol=0, atol=1e-4 * wanted.abs().max())


def test_a_plan_is_followed_and_one_for_other_weights_refused(exported):
    pipe, folder = exported("sd", "torch")
    own, theirs = pipe.unet, ExportedUNet(folder)
    weights = {2: {0: -1.0, 1: 2.0}, 3: {0: -2.0, 1: 3.0}}
    plan = Plan("sd", {}, fingerprint(own), "ddim-4-cfg7.5", 4, 1, "float32", (0, 1), weights)
    try:
        with DeepCache.from_plan(pipe, plan):
            wanted = generate(pipe)
        pipe.unet = theirs
        with DeepCache.from_plan(pipe, plan) as cache:
            assert torch.equal(generate(pipe), wanted) and cache.full_steps == (0, 1)
        with pytest.raises(DeepCacheError, match="this plan was made for other weights"):
            DeepCache.from_plan(pipe, replace(plan, unet="0" * 64))
    finally:
        pipe.unet = own


def test_what_it_was_not_exported_for_is_refused(exported):
    unet = ExportedUNet(exported("sd", "torch")[1])
    with pytest.raises(DeepCacheError, match="exported for branch 1, not 0: give branch=1"):
        DeepCache(unet, 2)
    with pytest.raises(DeepCacheError, match="exported passes run as they are: leave compile"):
        DeepCache(unet, 2, branch=1, compile="shallow").enable()
    x, context = torch.zeros(2, 4, 16, 16), torch.zeros(2, 8, 16)
    with pytest.raises(DeepCacheError, match=r"sample is 1x4x16x16, and this U-Net was exported for 2x4x16x16"):
        unet(x[:1], 5, context)
    with pytest.raises(DeepCacheError, match="class_labels: this U-Net was exported without it"):
        unet(x, 5, context, class_labels=torch.zeros(2))
    with pytest.raises(DeepCacheError, match="encoder_hidden_states: this U-Net was exported with it"):
        unet(x, 5)
    with pytest.raises(DeepCacheError, match="cross_attention_kwargs: an exported U-Net takes tensors alone"):
        unet(x, 5, context, cross_attention_kwargs={"scale": 0.5})
    with pytest.raises(DeepCacheError, match="takes one timestep for the whole batch"):
        unet(x, torch.tensor([1, 2]), context)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda about: about.pop("branch"), r"export.json: cannot be read as an exported U-Net \('branch'\)"),
        (lambda about: about.update(runtime="tea"), r"cannot be read as an exported U-Net \('tea'\)"),
        (lambda about: about.update({"class": "Nobody"}), "cannot be read as an exported U-Net"),
        (lambda about: about.update({"class": "utils"}), "cannot be read as an exported U-Net"),
        (lambda about: about.update(inputs=[1]), "cannot be read as an exported U-Net"),
        (
            lambda about: (
                about["config"].update(addition_embed_type="text_time", projection_class_embeddings_input_dim=0)
                or about["config"].pop("projection_class_embeddings_input_dim")
            ),
            "cannot be read as an exported U-Net",
        ),
        (lambda about: about.update(runtime="onnx"), "full.onnx: onnxruntime cannot load it"),
        (None, r"shallow\.pt2: torch cannot load it \(.*\): export it anew"),
    ],
)
def test_a_damaged_export_is_a_line(exported, tmp_path, change, message):
    shutil.copytree(exported("sd", "torch")[1], tmp_path / "unet")
    about = json.loads((tmp_path / "unet" / ABOUT).read_text(encoding="utf-8"))
    if change is None:
        (tmp_path / "unet/shallow.pt2").write_bytes(b"nothing")
    else:
        change(about)
    (tmp_path / "unet" / ABOUT).write_text(json.dumps(about), encoding="utf-8")
    with pytest.raises(DeepCacheError, match=message):
        ExportedUNet(tmp_path / "unet")


def test_passes_that_compute_something_else_are_not_kept(exported, tmp_path, monkeypatch):
    pipe, _ = exported("sd", "torch")
    monkeypatch.setattr(export, "AGREES", -1.0)
    with pytest.raises(DeepCacheError, match=r"the exported U-Net computes something else: full differs by 0\.0e"):
        export_pipeline(pipe, 0, tmp_path / "unet", "torch", 1)
    assert not (tmp_path / "unet" / ABOUT).exists()


def test_what_cannot_be_exported_is_a_line(exported, tmp_path):
    pipe, _ = exported("sd", "torch")
    with pytest.raises(DeepCacheError, match=r"StableDiffusionPipeline cannot be called so: .*divisible by 8"):
        export_pipeline(pipe, 0, tmp_path / "unet", "torch", 1, height=100, width=16)
    args, kwargs = call_of(pipe, 1)
    with DeepCache(pipe, 2), pytest.raises(DeepCacheError, match="DeepCache is enabled on this U-Net: disable it"):
        export.export_unet(pipe.unet, 0, args, kwargs, tmp_path / "unet", "torch")
    with pytest.raises(DeepCacheError, match="U-Nets of diffusers can be exported, and Linear is none"):
        export.export_unet(torch.nn.Linear(1, 1), 0, args, kwargs, tmp_path / "unet", "torch")
    with pytest.raises(DeepCacheError, match="timestep: an exported U-Net needs it"):
        export.export_unet(pipe.unet, 0, args[:1], {}, tmp_path / "unet", "torch")
    assert not (tmp_path / "unet").exists()


def test_precision_and_mode_are_the_callers(exported):
    pipe, folder = exported("sd", "torch")
    unet = ExportedUNet(folder)
    x, context = torch.ones(2, 4, 16, 16), torch.ones(2, 8, 16)
    found = unet(x.bfloat16(), 5, context.bfloat16(), return_dict=False)
    assert isinstance(found, tuple) and found[0].dtype == torch.bfloat16
    assert torch.allclose(found[0].float(), unet(x, 5.0, context).sample, rtol=0.02, atol=0.05)
    assert not pipe.unet.training
    pipe.unet.conv_in.train()
    args, kwargs = call_of(pipe, 1)
    export.export_unet(pipe.unet, 0, args, kwargs, folder.parent / "again", "torch")
    assert pipe.unet.conv_in.training
    pipe.unet.eval()


@torch.no_grad()
def test_a_feature_that_the_u_net_writes_into_is_left_as_it_is(tmp_path):
    pipe = text_to_image(tmp_path)
    pipe.enable_freeu(s1=0.9, s2=0.2, b1=1.5, b2=1.6)
    args, kwargs = call_of(pipe, 1)
    exported, _ = export.export_unet(pipe.unet, 2, args, kwargs, tmp_path / "unet", "torch")
    _, feature = exported.full(args, kwargs)
    kept = feature.clone()
    first = exported.shallow(feature, args, kwargs)[0]
    assert torch.equal(exported.shallow(feature, args, kwargs)[0], first) and torch.equal(feature, kept)
