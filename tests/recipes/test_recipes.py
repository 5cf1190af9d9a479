"""The blocks of docs/recipes.md, on small models."""

import re
import threading
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler
from peft import LoraConfig

from deepcache import DeepCache
from deepcache.beyond.tuning import pipelines as tuning
from deepcache.beyond.tuning.tuner import Effort
from tests.caching.pipelines import text_to_image
from tests.conftest import make_unet2d_condition

PAGE = Path(__file__).resolve().parents[2] / "docs/recipes.md"
SIZE = {"height": 16, "width": 16, "num_inference_steps": 6}


def blocks(heading: str) -> str:
    """The Python of a section."""
    section = PAGE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL))


def run(heading: str, **names) -> dict:
    """Its names afterwards."""
    scope = {"DeepCache": DeepCache, **names}
    exec(blocks(heading), scope)
    return scope


class Small:
    """A pipeline whose images are small and of few steps, whoever calls it."""

    def __init__(self, folder):
        self._pipe = text_to_image(folder)

    def __getattr__(self, name):
        return getattr(self._pipe, name)

    def __call__(self, prompt, **options):
        return self._pipe(prompt, **{**SIZE, "output_type": "np", **options})


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_two_threads_have_the_images_of_one(tmp_path):
    requests = [("a b", 1), ("b", 2), ("a", 3), ("b a", 4)]
    made, one_at_a_time = [], threading.Lock()  # weights are drawn from torch's own generator
    both = threading.Barrier(2)

    def load_pipeline():
        both.wait(timeout=60)
        with one_at_a_time:
            folder = tmp_path / str(len(made))
            made.append(folder)
            folder.mkdir()
            return Small(folder)

    images = run("A server with two threads", load_pipeline=load_pipeline, requests=requests)["images"]
    assert len(made) == 2
    alone = Small(tmp_path)
    with DeepCache(alone, 3, 0):
        for image, (prompt, seed) in zip(images, requests, strict=True):
            wanted = alone(prompt, generator=torch.Generator().manual_seed(seed)).images[0]
            assert np.array_equal(image, wanted)


@torch.no_grad()
def test_windows():
    unet, scheduler = make_unet2d_condition().eval(), DDIMScheduler(clip_sample=False)
    windows, audio = [drawn(one, 1, 4, 16, 16) for one in (1, 2)], [drawn(one, 1, 3, 16) for one in (3, 4)]
    scope = run("Lip sync, long videos: window by window")
    painted = scope["paint"](unet, scheduler, windows, audio)
    for noise, heard, found in zip(windows, audio, painted, strict=True):
        (alone,) = scope["paint"](unet, scheduler, [noise], [heard])
        assert torch.equal(found, alone)

    def step_all(noise, t, xs):
        return [scheduler.step(one, t, x).prev_sample for one, x in zip(noise, xs, strict=True)]

    together = scope["paint_together"](unet, step_all, windows, scheduler.timesteps, audio)
    for one, other in zip(together, painted, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-5)


def test_another_lora_for_each_request(tmp_path):
    pipe = Small(tmp_path)
    torch.manual_seed(2)
    for style in ("ink", "oil"):
        config = LoraConfig(r=2, lora_alpha=8, target_modules=["to_q", "conv1"], init_lora_weights=False)
        pipe.unet.add_adapter(config, style)

    def seeded(prompt):
        torch.manual_seed(3)
        return pipe(prompt)

    seeded.unet, seeded.scheduler = pipe.unet, pipe.scheduler
    requests = [("ink", "a"), ("oil", "a"), ("ink", "a")]
    ink, oil, again = run("Another LoRA for each request", pipe=seeded, requests=requests, images=[])["images"]
    assert np.array_equal(ink, again) and not np.array_equal(ink, oil)
    pipe.unet.set_adapter("oil")
    with DeepCache(pipe._pipe, 3):
        assert np.array_equal(seeded("a").images[0], oil)


def test_an_answer_within_a_time(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = Effort(screened=1, images=2, recorded=2, probes=1, at_once=2, minutes=0.01)
    monkeypatch.setattr(tuning, "Effort", lambda minutes: small)
    pipe, prompts = text_to_image(tmp_path), ["a", "b a"]
    scope = run("An answer within a time", pipe=pipe, prompts=prompts, budget=60.0)
    assert (tmp_path / "plan.json").is_file()
    assert len(scope["seconds"]) == 10 and 0 < scope["deciles"][4] <= scope["deciles"][8]
    assert capsys.readouterr().out.startswith("p50 ")
