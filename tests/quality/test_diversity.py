"""Diversity over seeds: by hand, of identical images, in any order of the seeds; the programs from runs to picture."""

import json
import math
import shutil
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from deepcache import DeepCacheError
from deepcache.data.digits import load_digits
from deepcache.quality.diversity import METRICS, Diversity, measure_diversity, pairwise
from deepcache.quality.perceptual import load_perceptual
from deepcache.sampling.shards import settings_hash, write_shard

CLASSIFIER = Path(__file__).resolve().parents[2] / "resources/checkpoints/digits-classifier"
SEEDS, PROMPTS = 3, 5


@pytest.fixture(scope="session")
def perceptual():
    return load_perceptual(CLASSIFIER, torch.device("cpu")).distances


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """Digits, another for each seed and prompt, uint8, shape (seeds, prompts, 16, 16, 1)."""
    found = load_digits(16)[0][: SEEDS * PROMPTS].permute(0, 2, 3, 1).numpy()
    return found.reshape(SEEDS, PROMPTS, 16, 16, -1)


@pytest.fixture
def scores() -> np.ndarray:
    return np.random.default_rng(0).uniform(70, 90, (SEEDS, PROMPTS))


# Values


def test_a_case_by_hand():
    """Flat images and a distance that is the difference of their first pixels."""
    levels = np.array([[10, 0], [20, 0], [40, 100]], np.uint8)
    runs = levels[..., None, None, None].repeat(4, axis=2).repeat(4, axis=3)
    scores = np.array([[80.0, 50.0], [81.0, 50.0], [85.0, 56.0]])
    found = measure_diversity(runs, scores, lambda a, b: np.abs(a[:, 0, 0, 0].astype(float) - b[:, 0, 0, 0]))
    assert found.pairwise_lpips == pytest.approx([(10 + 30 + 20) / 3, (0 + 100 + 100) / 3])
    assert found.pixel_mse == pytest.approx([(100 + 900 + 400) / 3, (0 + 10000 + 10000) / 3])
    assert found.clip_variance == pytest.approx([((2**2) + (1**2) + (3**2)) / 2, (4 + 4 + 16) / 2])


def test_of_digits_and_any_scores(images, scores, perceptual):
    found = measure_diversity(images, scores, perceptual, batch_size=2)
    for prompt in range(PROMPTS):
        pairs = list(combinations(images[:, prompt], 2))
        errors = [np.mean((a.astype(float) - b) ** 2) for a, b in pairs]
        distances = [perceptual(a[None], b[None])[0] for a, b in pairs]
        assert found.pixel_mse[prompt] == pytest.approx(np.mean(errors))
        assert found.pairwise_lpips[prompt] == pytest.approx(np.mean(distances), rel=1e-5)
        assert found.clip_variance[prompt] == pytest.approx(np.var(scores[:, prompt], ddof=1))


def test_identical_images_have_no_diversity(images, perceptual):
    scores = np.tile([79.1, 80.3, 81.7, 0.1, 99.9], (SEEDS, 1))
    same = measure_diversity([images[0]] * SEEDS, scores, perceptual)
    for name in METRICS:
        assert (getattr(same, name) == 0).all(), name
    assert set(same.summary().values()) == {0}
    other = measure_diversity(images, scores + np.arange(SEEDS)[:, None], perceptual)
    assert all((getattr(other, name) > 0).all() for name in METRICS)
    assert other.change(other) == dict.fromkeys(other.change(other), 0)


def test_the_order_of_the_seeds_does_not_matter(images, scores, perceptual):
    one = measure_diversity(images, scores, perceptual)
    for order in ([2, 0, 1], [1, 0, 2]):
        other = measure_diversity(images[order], scores[order], perceptual)
        for name in METRICS:
            assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-6)


def test_more_alike_means_less_diverse(images, scores, perceptual):
    """Halfway to the seeds' mean image, the squared differences are a quarter."""
    mean = images.mean(axis=0)
    nearer = np.round((images + mean) / 2).astype(np.uint8)
    one = measure_diversity(images, scores, perceptual)
    other = measure_diversity(nearer, scores.mean(axis=0) + 0.5 * (scores - scores.mean(axis=0)), perceptual)
    assert other.pixel_mse == pytest.approx(one.pixel_mse / 4, rel=0.02)
    assert other.clip_variance == pytest.approx(one.clip_variance / 4)
    assert (other.pairwise_lpips < one.pairwise_lpips).all()
    change = other.change(one)
    assert change["pixel_mse_change_low"] < change["pixel_mse_change"] < change["pixel_mse_change_high"] < 0


def test_the_change_has_the_interval_of_the_paired_t_test():
    """Differences 1, 2, 3: mean 2, standard error 1 / sqrt(3), Student's quantile 4.3027 with 2 degrees of freedom."""
    before = np.array([5.0, 1.0, 9.0])
    zero = np.zeros(3)
    found = Diversity(before + np.array([1, 2, 3]), before, zero).change(Diversity(before, before, zero))
    margin = 4.302653 / math.sqrt(3)
    ends = [found[f"pairwise_lpips_change{end}"] for end in ("", "_low", "_high")]
    assert ends == pytest.approx([2, 2 - margin, 2 + margin], rel=1e-6)
    assert found["pixel_mse_change"] == found["pixel_mse_change_high"] == 0


def test_means_and_their_intervals():
    values = np.random.default_rng(1).exponential(size=300)
    found = Diversity(values, 2 * values, np.zeros(300)).summary()
    assert found["pairwise_lpips"] == pytest.approx(values.mean())
    margin = 1.96 * values.std() / math.sqrt(300)
    assert found["pairwise_lpips_low"] == pytest.approx(values.mean() - margin, abs=0.15 * margin)
    assert found["pairwise_lpips_high"] == pytest.approx(values.mean() + margin, abs=0.15 * margin)
    assert found["pixel_mse_high"] == pytest.approx(2 * found["pairwise_lpips_high"])


def test_pairs_are_all_pairs():
    seen = []
    pairwise(lambda a, b: seen.append((a[0], b[0])) or np.zeros(1), [np.array([i]) for i in range(4)])
    assert seen == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


def test_runs_are_read_in_step(images, scores, perceptual):
    """When a batch is compared, no run was read beyond it."""
    read = [0] * SEEDS

    def run(seed: int):
        for image in images[seed]:
            read[seed] += 1
            yield image

    def compared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        assert max(read) - min(read) == 0
        assert len(a) <= 2
        return perceptual(a, b)

    measure_diversity([run(seed) for seed in range(SEEDS)], scores, compared, batch_size=2)
    assert read == [PROMPTS] * SEEDS


def test_what_cannot_be_measured(images, scores, perceptual):
    with pytest.raises(DeepCacheError, match="at least two seeds, not 1"):
        measure_diversity(images[:1], scores[:1], perceptual)
    with pytest.raises(DeepCacheError, match="there are 3 runs, and scores of 2 with 5 images"):
        measure_diversity(images, scores[:2], perceptual)
    with pytest.raises(DeepCacheError, match="at least two prompts: there are 3 runs, and scores of 3 with 1 images"):
        measure_diversity(images[:, :1], scores[:, :1], perceptual)
    with pytest.raises(DeepCacheError, match="number or size of their images: batches of 5x16x16x1, 5x16x16x1, 4x16x1"):
        measure_diversity([*images[:2], images[2][:4]], scores, perceptual)
    with pytest.raises(DeepCacheError, match="number or size of their images"):
        measure_diversity([*images[:2], images[2][:, 1:]], scores, perceptual)
    with pytest.raises(DeepCacheError, match="hold 4 images each, but there are CLIP scores of 5"):
        measure_diversity(images[:, :4], scores, perceptual)


# The programs

PLMS = "digits-sd/plms-10-cfg3"


def write_run(root: Path, method: str, seed: int, images: np.ndarray, scores: np.ndarray, **settings) -> Path:
    """A run of two shards with its CLIP scores."""
    folder = root / PLMS / method / f"seed-{seed}"
    settings = {"checkpoint": {"unet": "1"}, "prompts": "2", "method": method, "seed": seed, **settings}
    for index, part in enumerate((images[:3], images[3:])):
        write_shard(folder / f"shards/{index:05d}.npz", part, settings, {})
    write_shard(folder / "first.npz", images[:2], settings, {})
    run = {"images": len(images), "settings": settings, "settings_hash": settings_hash(settings)}
    run |= {"weights": "shipped", "devices": ["a CPU"], "shards": {"00000.npz": "", "00001.npz": ""}}
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    prompts = root / "prompts.txt"
    prompts.write_text("\n".join(["a zero", "a one", "a two", "a three", "a four"]), encoding="utf-8")
    clip = {"scores": scores.tolist(), "images": len(images), "settings_hash": run["settings_hash"]}
    clip |= {"prompts": {"file": str(prompts), "prompts": 5, "fingerprint": "2"}}
    clip |= {"weights": {"sha256": "3"}, "precision": "float32"}
    (folder / "clip_score.json").write_text(json.dumps(clip), encoding="utf-8")
    return folder


@pytest.fixture
def runs(tmp_path, images, scores) -> dict[str, list[Path]]:
    """Folders of the runs of three seeds, without caching and with two methods; the last makes the seeds alike."""
    made = {"full": images, "uniform-n3-b1": images[::-1] // 2 + 30, "uniform-n5-b1": np.stack([images[0]] * SEEDS)}
    return {
        method: [
            write_run(tmp_path, method, seed, found[seed], scores[0] if method == "uniform-n5-b1" else scores[seed])
            for seed in range(SEEDS)
        ]
        for method, found in made.items()
    }


@pytest.fixture
def measure(call):
    """Run the program on folders of runs; returns its exit status."""

    def measure(folders: list[Path], output: Path, *options) -> int:
        files = ["--runs", *(folder / "run.json" for folder in folders)]
        files += ["--clip-scores", *(folder / "clip_score.json" for folder in folders)]
        status = call(
            "diversity.py", *files, "--perceptual", CLASSIFIER, "--device", "cpu", "--output", output, *options
        )
        assert output.exists() == (status == 0)
        return status

    return measure


def error(capsys) -> str:
    return capsys.readouterr().err.splitlines()[-1]


def test_from_runs_to_table_and_picture(runs, measure, call, tmp_path, images, scores, perceptual):
    files = []
    for method, folders in runs.items():
        files.append(tmp_path / PLMS / method / "diversity.json")
        assert measure(folders[::-1], files[-1], "--batch-size", 2) == 0
    one = json.loads(files[0].read_text(encoding="utf-8"))
    expected = measure_diversity(images, scores, perceptual)
    for name, values in expected.per_prompt().items():
        assert one["per_prompt"][name] == pytest.approx(values, rel=1e-5)
        assert one[name] == pytest.approx(np.mean(values), rel=1e-5)
        assert one[f"{name}_low"] < one[name] < one[f"{name}_high"]
    assert (one["model"], one["sampler"], one["method"]) == ("digits-sd", "plms-10-cfg3", "full")
    assert (one["seeds"], one["images"]) == ([0, 1, 2], PROMPTS)
    assert one["runs"] == [str(folder / "run.json") for folder in runs["full"]]
    assert one["perceptual"] == {"kind": "digits-classifier", "folder": str(CLASSIFIER)}
    assert {"versions", "device", "commit", "clip", "prompts", "weights", "devices"} <= set(one)

    output = tmp_path / "tables/diversity.csv"
    assert call("diversity_table.py", "--diversity", *files, "--title", "Seeds", "--output", output) == 0
    table = pd.read_csv(output)
    ends = ("", "_low", "_high", "_change", "_change_low", "_change_high")
    metrics = [f"{name}{end}" for name in METRICS for end in ends]
    labels = ["model", "sampler", "method", "interval", "branch", "seeds", "prompts"]
    assert list(table) == [*labels, *metrics, "device", "weights", "runs"]
    full, changed, alike = (row for _, row in table.iterrows())
    assert table["interval"].tolist() == [1, 3, 5]
    assert pd.isna(full["branch"]) and alike["branch"] == 1
    assert full[[name for name in metrics if "_change" in name]].isna().all()
    for name in METRICS:
        assert alike[name] == alike[f"{name}_low"] == alike[f"{name}_high"] == 0
        assert alike[f"{name}_change"] == pytest.approx(-full[name])
        assert alike[f"{name}_change_low"] < alike[f"{name}_change"] < alike[f"{name}_change_high"]
        assert changed[f"{name}_change"] == pytest.approx(changed[name] - full[name])
    assert alike["pixel_mse_change_high"] < 0
    assert full["runs"].split("; ") == one["runs"]
    text = output.with_suffix(".md").read_text(encoding="utf-8")
    assert text.startswith("# Seeds") and "3 seeds, 5 prompts, device: a CPU." in text and "random" not in text

    picture = tmp_path / "diversity.png"
    assert call("diversity_figure.py", "--diversity", *files, "--prompts", 2, "--output", picture) == 0
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_the_picture_shows_each_seed_of_each_prompt_and_the_change(images):
    from deepcache.figures.diversity import Compared, draw_diversity

    columns = {f"{name}{end}": [1.0, 0.5] for name in METRICS for end in ("", "_low", "_high")}
    columns |= {f"{name}_change": [None, -0.5] for name in METRICS}
    columns |= {f"{name}_change_low": [None, -0.7] for name in METRICS}
    columns |= {f"{name}_change_high": [None, -0.4] for name in METRICS}
    table = pd.DataFrame({"method": ["full", "uniform-n5-b1"], **columns})
    shown = np.stack([images.swapaxes(0, 1)[:2]] * 2)
    figure = draw_diversity("Title", [Compared("a model", table, shown, ["a zero", "a one"])])
    drawn = [axes.get_images()[0].get_array() for axes in figure.axes if axes.get_images()]
    assert len(drawn) == 2 * 2 * SEEDS
    assert np.array_equal(drawn[SEEDS], images[0, 1].squeeze())
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")] == ["a zero", "a one"]
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["no caching", "N = 5"]
    panels = [axes for axes in figure.axes if axes.containers]
    assert len(panels) == len(METRICS)
    (bars,) = panels[0].containers[0][2]
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [[1, 1], pytest.approx([0.3, 0.6])]


def test_runs_that_are_not_seeds_of_one_are_refused(runs, measure, tmp_path, capsys, images, scores):
    output = tmp_path / "refused.json"
    first, second = (folder / "run.json" for folder in runs["full"][:2])

    def refused(folders: list[Path], message: str) -> None:
        assert measure(folders, output) == 1
        assert error(capsys) == f"error: {message}"

    refused(runs["full"][:1], f"{first}: diversity needs runs of at least two seeds, but is given only this one")
    refused([runs["full"][0]] * 2, f"{first} and {first} have the same seed: give each seed once")
    alone = "they may differ in their seed alone"
    refused(
        [runs["full"][0], runs["uniform-n3-b1"][1]],
        f"{first} and {runs['uniform-n3-b1'][1] / 'run.json'} differ in method: {alone}",
    )
    write_run(tmp_path, "full", 1, images[1][:4], scores[1][:4])
    refused(runs["full"], f"{first} and {second} differ in images: {alone}")
    write_run(tmp_path, "full", 1, images[1], scores[1], prompts="another")
    clip = runs["full"][1] / "clip_score.json"
    clip.write_text(
        clip.read_text(encoding="utf-8").replace('"fingerprint": "2"', '"fingerprint": "another"'), encoding="utf-8"
    )
    refused(runs["full"], f"{first} and {second} differ in prompts: {alone}")
    write_run(tmp_path, "full", 1, images[1], scores[1], checkpoint={"unet": "another"})
    refused(runs["full"], f"{first} and {second} differ in checkpoint: {alone}")


def test_scores_that_do_not_fit_are_refused(runs, measure, call, tmp_path, capsys, images, scores):
    output = tmp_path / "refused.json"
    run, clip = (runs["full"][0] / name for name in ("run.json", "clip_score.json"))
    shutil.copy(runs["full"][1] / "clip_score.json", clip)
    assert measure(runs["full"], output) == 1
    assert error(capsys) == f"error: {clip} does not hold the scores of {run}: delete it and run again"
    clip.write_text("{}", encoding="utf-8")
    assert measure(runs["full"], output) == 1
    assert error(capsys) == f"error: {clip}: not readable CLIP scores ('scores'); delete it and run again"
    more = np.concatenate([images[0], images[1]]), np.concatenate([scores[0], scores[1]])
    write_run(tmp_path, "full", 0, *more)
    assert measure(runs["full"], output) == 1
    assert error(capsys) == f"error: {run} holds 10 images of 5 prompts: sample each prompt once"
    run.write_text(
        json.dumps(
            {key: value for key, value in json.loads(run.read_text(encoding="utf-8")).items() if key != "weights"}
        ),
        encoding="utf-8",
    )
    assert measure(runs["full"], output) == 1
    assert error(capsys) == f"error: {run}: not a readable run (has no weights); delete it and run again"
    options = ("--clip-scores", clip, "--perceptual", CLASSIFIER, "--device", "cpu", "--output", output)
    assert call("diversity.py", "--runs", run, run, *options) == 1
    assert error(capsys) == "error: 2 --runs, but 1 --clip-scores: give one for each run"


def test_a_table_compares_like_with_like(runs, measure, call, tmp_path, capsys):
    full, cached = (tmp_path / f"{method}.json" for method in ("full", "cached"))
    assert measure(runs["full"], full) == measure(runs["uniform-n3-b1"][:2], cached) == 0
    output = tmp_path / "diversity.csv"

    def refused(files: list[Path], message: str) -> None:
        assert call("diversity_table.py", "--diversity", *files, "--output", output) == 1
        assert error(capsys) == f"error: {message}"
        assert not output.exists()

    refused([full, cached], f"{cached} and {full} differ in seeds: measure both on the same")
    refused([cached], f"{cached}: the same without caching (full) is missing, to which it is compared")
    short = json.loads(full.read_text(encoding="utf-8"))
    short["per_prompt"]["pixel_mse"].pop()
    full.write_text(json.dumps(short), encoding="utf-8")
    refused([full], f"{full}: not a readable diversity (has no value for each image); delete it and run again")


@pytest.mark.parametrize("script", ["diversity", "diversity_table", "diversity_figure"])
def test_help(call, capsys, script):
    assert call(f"{script}.py", "--help") == 0
    assert "diversity" in capsys.readouterr().out
