"""CLIP score of a tiny random open_clip model with a tokenizer of its own, against the formula written out."""

import json
import os
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from deepcache import DeepCacheError
from deepcache.data.manifests import write_manifest
from deepcache.files import sha256
from deepcache.models.checkpoints import write_manifest as write_checkpoint
from deepcache.quality.clip_score import Clip, load_clip
from deepcache.sampling.shards import settings_hash, write_shard

CPU = torch.device("cpu")
WORDS = ("<pad>", "<unknown>", "<start>", "a", "red", "green", "square", "on", "grass", "cat", "dog", "<end>")
CONTEXT = 6
PROMPTS = ["a red square", "a cat on grass", "green dog"]
CONFIG = {
    "embed_dim": 16,
    # Patches are dropped in training mode only, so scores show which mode the model is in.
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16, "patch_dropout": 0.5},
    "text_cfg": {"context_length": CONTEXT, "vocab_size": len(WORDS), "width": 16, "heads": 2, "layers": 2},
}


def write_tokenizer(folder: Path) -> None:
    """Words by number; the end has the largest, for that is where open_clip reads the embedding."""
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unknown>"))
    tokenizer.pre_tokenizer = Whitespace()
    special = [(word, WORDS.index(word)) for word in ("<start>", "<end>")]
    tokenizer.post_processor = TemplateProcessing(single="<start> $A <end>", special_tokens=special)
    names = {"pad_token": "<pad>", "unk_token": "<unknown>", "bos_token": "<start>", "eos_token": "<end>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)


@pytest.fixture
def write_model(tmp_path):
    """A folder with a model; `text` goes into its text_cfg."""

    def write_model(**text) -> Path:
        config = {**CONFIG, "text_cfg": {**CONFIG["text_cfg"], **text}}
        torch.manual_seed(0)  # of what open_clip draws itself
        size = {**CONFIG["text_cfg"], "vocab_size": config["text_cfg"]["vocab_size"]}
        model, generator = open_clip.CLIP(**{**config, "text_cfg": size}), torch.Generator().manual_seed(0)
        for values in model.parameters():  # open_clip's own are so small that all images and texts look alike
            if values.ndim > 1:
                torch.nn.init.normal_(values, std=2 / values[0].numel() ** 0.5, generator=generator)
        folder = tmp_path / "clip"
        folder.mkdir()
        save_file(model.state_dict(), folder / "open_clip_model.safetensors")
        preprocess = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "interpolation": "bilinear"}
        content = {"model_cfg": config, "preprocess_cfg": preprocess}
        (folder / "open_clip_config.json").write_text(json.dumps(content), encoding="utf-8")
        return folder

    return write_model


@pytest.fixture
def model(write_model) -> Path:
    """A folder with a model and its tokenizer."""
    folder = write_model(hf_tokenizer_name="its-own")
    write_tokenizer(folder)
    return folder


def pictures(count: int, channels: int = 3) -> np.ndarray:
    """Coloured squares, 40 pixels high and 48 wide."""
    coarse = np.random.default_rng(1).integers(0, 256, (count, 5, 6, channels), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


@torch.no_grad()
def cosines(folder: Path, images: np.ndarray, prompts: list[str]) -> np.ndarray:
    """One pair at a time, with open_clip's functions and numpy."""
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    tokenizer, found = open_clip.get_tokenizer(f"local-dir:{folder}"), []
    model.eval()
    for image, prompt in zip(images, prompts, strict=True):
        colour = np.broadcast_to(image, (*image.shape[:2], 3)).copy()
        x = model.encode_image(preprocess(Image.fromarray(colour))[None])[0].numpy().astype(np.float64)
        y = model.encode_text(tokenizer([prompt]))[0].numpy().astype(np.float64)
        found.append(x @ y / np.sqrt((x @ x) * (y @ y)))
    return np.array(found)


def round_the_list(prompts: list[str], count: int) -> list[str]:
    return [prompts[index % len(prompts)] for index in range(count)]


@pytest.mark.parametrize("channels", [1, 3])
def test_scores_are_the_formula_and_negative_cosines_count_as_0(model, channels):
    images, prompts = pictures(12, channels), round_the_list(PROMPTS, 12)
    expected = cosines(model, images, prompts)
    assert expected.min() < -0.01 < 0.01 < expected.max()
    found = load_clip(model, CPU).scores(images, prompts)
    assert found.dtype == np.float64
    assert found.shape == (12,)
    assert found == pytest.approx(np.maximum(0, 100 * expected), abs=1e-4)
    assert ((found == 0) == (expected < 0)).all()


def test_the_order_of_images_and_prompts_matters_and_batches_do_not(model):
    clip, images, prompts = load_clip(model, CPU), pictures(7), round_the_list(PROMPTS, 7)
    whole = clip.scores(images, prompts)
    parts = [clip.scores(images[i : i + 3], prompts[i : i + 3]) for i in (0, 3, 6)]
    assert np.concatenate(parts) == pytest.approx(whole, abs=1e-4)
    assert clip.scores(images[::-1], prompts[::-1]) == pytest.approx(whole[::-1], abs=1e-4)
    assert np.abs(clip.scores(images, prompts[::-1]) - whole).max() > 1


def test_each_prompt_of_a_batch_is_embedded_once(model):
    network, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{model}")
    tokenizer, asked = open_clip.get_tokenizer(f"local-dir:{model}"), []

    def spy(texts):
        asked.append(list(texts))
        return tokenizer(texts)

    prompts = ["green dog", "a cat", "green dog", "green dog"]
    found = Clip(network.eval(), preprocess, spy, CPU, None).scores(pictures(4), prompts)
    assert asked == [["green dog", "a cat"]]
    assert found == pytest.approx(np.maximum(0, 100 * cosines(model, pictures(4), prompts)), abs=1e-4)


def test_long_prompts_are_cut(model):
    long = "a red square on green grass " * 20
    clip = load_clip(model, CPU)
    cut = " ".join(long.split()[: CONTEXT - 2])
    assert clip.scores(pictures(3), [long] * 3) == pytest.approx(clip.scores(pictures(3), [cut] * 3))


def test_half_precision_is_near(model):
    images, prompts = pictures(6), round_the_list(PROMPTS, 6)
    exact, coarse = (load_clip(model, CPU, precision).scores(images, prompts) for precision in ("float32", "bfloat16"))
    assert 0 < np.abs(exact - coarse).max() < 2


def test_without_a_tokenizer_in_the_config_it_is_clips(write_model):
    folder = write_model(vocab_size=49408)
    found = load_clip(folder, CPU).scores(pictures(3), ["a cat", "an ASTRONAUT", "na\u00efve &amp; so"])
    expected = cosines(folder, pictures(3), ["a cat", "an astronaut", "na\u00efve & so"])
    assert found == pytest.approx(np.maximum(0, 100 * expected), abs=1e-4)


def test_as_many_prompts_as_images(model):
    with pytest.raises(DeepCacheError, match="3 images, but 2 prompts: there must be one for each image"):
        load_clip(model, CPU).scores(pictures(3), PROMPTS[:2])


def test_what_is_not_finite_is_an_error(model):
    network, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{model}")
    network.visual.proj.data[:] = float("nan")
    clip = Clip(network.eval(), preprocess, open_clip.get_tokenizer(f"local-dir:{model}"), CPU, None)
    with pytest.raises(DeepCacheError, match="NaN or infinity"):
        clip.scores(pictures(3), PROMPTS)


class Harmful:
    """A pickle that would make a folder."""

    def __init__(self, place: Path):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


def test_folders_that_are_no_model(model, tmp_path):
    weights, config = model / "open_clip_model.safetensors", model / "open_clip_config.json"

    def refused(message: str) -> None:
        with pytest.raises(DeepCacheError, match=message) as raised:
            load_clip(model, CPU)
        assert str(raised.value).startswith(str(model))
        assert "\n" not in str(raised.value)

    (model / "tokenizer.json").rename(tmp_path / "tokenizer.json")
    refused("not a CLIP model that open_clip reads")
    (tmp_path / "tokenizer.json").rename(model / "tokenizer.json")
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    refused("not a CLIP model that open_clip reads")
    weights.unlink()
    refused("not a CLIP model that open_clip reads")
    torch.save({"state_dict": Harmful(tmp_path / "harm")}, model / "open_clip_pytorch_model.bin")
    refused("holds more than weights, and nothing in it is run")
    assert not (tmp_path / "harm").exists()
    config.write_text("{}", encoding="utf-8")
    refused("Could not load valid config")
    config.unlink()
    refused("config file missing")


# The program


@pytest.fixture
def prompt_file(tmp_path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(PROMPTS) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def score(tmp_path, model, call):
    """Run the program; returns its exit status, or what it wrote."""

    def score(*options):
        output = tmp_path / "score.json"
        status = call("clip_score.py", "--device", "cpu", "--output", output, *("--weights", model), *options)
        assert output.exists() == (status == 0)
        return status or json.loads(output.read_text(encoding="utf-8"))

    return score


def write_run(folder: Path, images: np.ndarray, **settings) -> Path:
    """A run of two shards, the first with 4 images."""
    for index, part in enumerate((images[:4], images[4:])):
        write_shard(folder / "shards" / f"{index:05d}.npz", part, settings, {})
    run = {"images": len(images), "settings": settings, "settings_hash": settings_hash(settings)}
    (folder / "run.json").write_text(
        json.dumps({**run, "shards": {"00001.npz": "", "00000.npz": ""}}), encoding="utf-8"
    )
    return folder / "run.json"


def write_folder(folder: Path, images: np.ndarray) -> Path:
    """Written from the last to the first."""
    folder.mkdir()
    for index in reversed(range(len(images))):
        Image.fromarray(images[index]).save(folder / f"{index:05d}.png")
    return folder


def test_in_a_run_image_j_belongs_to_prompt_j_round_the_list(score, model, prompt_file, tmp_path):
    images = pictures(8)
    run = write_run(tmp_path / "run", images, seed=0, prompts=sha256(prompt_file))
    write_manifest(tmp_path / "manifest.json", "mine", "text", prompt_file, "local")
    weights = write_checkpoint(tmp_path / "weights.json", "clip", model, "local", {})
    options = ("--run", run, "--prompts", tmp_path / "manifest.json", "--weights", tmp_path / "weights.json")
    found = score(*options, "--batch-size", 3)
    expected = np.maximum(0, 100 * cosines(model, images, round_the_list(PROMPTS, 8)))
    assert found["scores"] == pytest.approx(expected, abs=1e-4)
    assert found["scores"] == [round(value, 6) for value in found["scores"]]
    assert found["clip_score"] == pytest.approx(expected.mean(), abs=1e-4)
    origin = ("run", "settings_hash", "weights", "precision", "versions", "device", "tf32", "threads", "commit")
    assert tuple(found) == ("clip_score", "scores", "images", "prompts", *origin)
    assert (found["images"], found["run"]) == (8, str(run))
    assert found["settings_hash"] == json.loads(run.read_text(encoding="utf-8"))["settings_hash"]
    assert found["prompts"]["prompts"] == 3
    assert found["weights"] == weights


def test_images_of_a_folder_are_scored_in_order_of_their_names(score, model, prompt_file, tmp_path):
    folder = write_folder(tmp_path / "pictures", pictures(3))
    found = score("--images", folder, "--prompts", prompt_file)
    assert found["scores"] == pytest.approx(np.maximum(0, 100 * cosines(model, pictures(3), PROMPTS)), abs=1e-4)
    assert found["folder"] == str(folder)
    assert "run" not in found
    assert "settings_hash" not in found


def last_line(capsys) -> str:
    return capsys.readouterr().err.splitlines()[-1]


def test_a_folder_has_one_image_for_each_prompt(score, prompt_file, tmp_path, capsys):
    folder = write_folder(tmp_path / "pictures", pictures(4))
    assert score("--images", folder, "--prompts", prompt_file) == 1
    assert last_line(capsys).startswith(f"error: {folder} holds 4 images, but {prompt_file} 3 prompts:")


def test_a_run_is_not_measured_against_other_prompts(score, prompt_file, tmp_path, capsys):
    run = write_run(tmp_path / "run", pictures(6), prompts="0" * 64)
    assert score("--run", run, "--prompts", prompt_file) == 1
    assert last_line(capsys) == f"error: {run} was made from other prompts than those of {prompt_file}"


def test_a_run_or_a_folder_but_not_both(score, prompt_file, tmp_path, capsys):
    assert score("--prompts", prompt_file) == 2
    assert "one of the arguments --run --images is required" in capsys.readouterr().err
    assert score("--prompts", prompt_file, "--run", "run.json", "--images", tmp_path) == 2
    assert "not allowed with argument" in capsys.readouterr().err


def test_help(call, capsys):
    assert call("clip_score.py", "--help") == 0
    assert "CLIP score" in capsys.readouterr().out
