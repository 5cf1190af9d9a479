"""Samples beside real pictures."""

import json

import numpy as np
import pytest

from deepcache.data.emoji import FOLDER, pictures_of
from deepcache.figures.real_pictures import Scores, draw_beside
from deepcache.files import write_json
from deepcache.sampling.shards import write_shard
from tests.conftest import ROOT

CLIP = ROOT / "resources/checkpoints/emoji-clip"


def test_pairs_with_their_prompts_and_scores():
    rng = np.random.default_rng(0)
    real, samples = (rng.integers(0, 256, (count, 8, 8, 3)).astype(np.uint8) for count in (12, 10))
    prompts = [f"a noto emoji of thing {number}" for number in range(12)]
    scores = Scores(real=np.full(12, 60.0), sampled=[50.0 + number for number in range(12)])
    figure = draw_beside("model", samples, real, prompts, scores)
    drawn = [axes for axes in figure.axes if axes.get_images()]
    assert len(drawn) == 10
    pixels = drawn[3].get_images()[0].get_array()
    assert np.array_equal(pixels[:, :8], real[3]) and np.array_equal(pixels[:, 10:], samples[3])
    assert drawn[3].texts[0].get_text() == "thing 3\n53"
    title = " ".join(figure.get_suptitle().split())
    assert "score 55.5 of samples, 60.0 of real pictures, over 12 prompts" in title


def test_the_summary_compares_in_pairs():
    found = Scores(real=[60.0, 70.0, 80.0], sampled=[50.0, 61.0, 69.0]).summary()
    assert (found["score_real"], found["score_sampled"], found["change"]) == (70, 60, -10)
    assert found["share_of_real"] == pytest.approx(6 / 7)
    assert found["change_low"] < -10 < found["change_high"] < 0


def test_the_program_scores_the_real_picture_of_each_sample(call, tmp_path):
    prompts = ["a noto emoji of owl", "a noto emoji of red apple"]
    (tmp_path / "prompts.txt").write_text("\n".join(prompts) + "\n", encoding="utf-8")
    dataset = ("--name", "emoji", "--source", "local", "--format", "emoji", "--folder", FOLDER)
    assert call("dataset.py", *dataset, "--downloads", tmp_path, "--output", tmp_path / "emoji.json") == 0
    write_shard(tmp_path / "first.npz", pictures_of([*prompts, prompts[0]])[:2], {}, {})
    write_json(tmp_path / "clip_score.json", {"scores": [10.0, 20.0, 30.0], "prompts": {}})
    options = ("--shard", tmp_path / "first.npz", "--clip-score", tmp_path / "clip_score.json")
    options += ("--prompts", tmp_path / "prompts.txt", "--dataset", tmp_path / "emoji.json", "--weights", CLIP)
    assert call("real_pictures.py", *options, "--images", "2", "--output", tmp_path / "real.png") == 0
    found = json.loads((tmp_path / "real.json").read_text(encoding="utf-8"))
    assert found["pictures"] == 3, "prompts are counted round where there are fewer"
    assert found["score_sampled"] == 20 and 50 < found["score_real"] < 80
    assert (tmp_path / "real.png").read_bytes()[:4] == b"\x89PNG"
