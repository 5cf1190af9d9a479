"""What generate.py writes, and what it finds written."""

import functools
from pathlib import Path

import numpy as np
import pytest
from diffusers import UNet2DConditionModel
from PIL import Image

from tests.generation.checkpoints import content, flagging_everything, save


def test_record_and_messages(sd, generate, capsys):
    _, record = generate(sd, "--cache-interval", 3, "--batch-size", 2)
    assert {"settings", "settings_hash", "prompts", "unet_calls", "full_steps", "images", "runs"} == set(record)
    assert (record["unet_calls"], record["full_steps"]) == (7, [0, 3])
    (run,) = record["runs"]
    assert run["images"] == 3 and run["images_per_second"] == pytest.approx(3 / run["seconds"], rel=0.01)
    assert {"versions", "device", "commit"} < set(run) and run["threads"] == 1
    messages = capsys.readouterr().err
    assert messages.splitlines()[-1].startswith("3 images in ")
    assert messages.endswith(" images/s, 2 of 7 steps full (29%)\n")
    assert "14/14" in messages, "steps of two batches"
    assert "pipeline components" not in messages and "Loading weights" not in messages


def test_a_safety_checker_of_the_checkpoint_is_on_and_named(tmp_path, generate, capsys):
    checked = save(tmp_path / "checked", safety_checker=flagging_everything())
    images, _ = generate(checked, "--steps", 2)
    said = f"{checked}: its safety checker is on: an image that it flags becomes black\n"
    assert capsys.readouterr().err.count(said) == 1
    assert not images.any()


@pytest.mark.parametrize("left", [None, 0, 100], ids=["missing", "emptied", "cut off"])
def test_only_missing_images_are_made_with_the_same_bytes(sd, generate, passes, capsys, left):
    options = ("--cache-interval", 3, "--num-images", 2, "--batch-size", 2)
    generate(sd, *options)
    whole, times = content("out"), {path: path.stat().st_mtime_ns for path in Path("out").glob("*.png")}
    Path("out/00001.png").unlink()
    if left is not None:
        Path("out/00001.png").write_bytes(whole["00001.png"][:left])
    passes.clear()
    capsys.readouterr()
    _, record = generate(sd, *options)
    assert len(passes) == 7, "one batch"
    assert "out: 5 of 6 images are there already\n" in capsys.readouterr().err
    assert content("out") == whole
    kept = [path for path in times if path.name != "00001.png"]
    assert all(path.stat().st_mtime_ns == times[path] for path in kept)
    assert [run["images"] for run in record["runs"]] == [6, 2]
    passes.clear()
    assert generate(sd, *options)[1] == record and not passes, "nothing is missing"


@pytest.mark.parametrize("where", ["in the U-Net", "in writing"])
def test_interrupted_run_leaves_whole_images_and_is_completed(sd, generate, monkeypatch, passes, capsys, where):
    whole, _ = generate(sd, "--cache-interval", 3, output="whole")
    passes.clear()
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as end:
        if where == "in the U-Net":
            forward = UNet2DConditionModel.forward

            @functools.wraps(forward)
            def stop(*args, **kwargs):
                assert len(passes) < 7 + 3, "interrupted"
                return forward(*args, **kwargs)

            patch.setattr(UNet2DConditionModel, "forward", stop)
        else:
            write = Image.Image.save

            def stop(image, path):
                write(image, path)
                if path.name.startswith(".00001."):
                    path.write_bytes(path.read_bytes()[:50])
                    raise OSError("interrupted")

            patch.setattr(Image.Image, "save", stop)
        generate(sd, "--cache-interval", 3)
    assert end.value.code == 1 and "interrupted" in capsys.readouterr().err
    assert sorted(path.name for path in Path("out").iterdir()) == ["00000.png", "generation.json"]
    assert content("out")["00000.png"] == content("whole")["00000.png"]
    assert np.array_equal(generate(sd, "--cache-interval", 3)[0], whole)
    assert content("out") == content("whole")


def test_folder_with_other_settings_is_refused(sd, sdxl, generate, refused):
    generate(sd, "--sampler", "ddim")
    before = content("out")
    assert refused(sd, "--sampler", "ddim", "--steps", 4, "--seed", 1) == (
        "out holds images of other settings (seed was 0, not 1, steps was 6, not 4): give another --output"
    )
    assert '(method was "full", not "uniform-n2-b0")' in refused(sd, "--sampler", "ddim", "--cache-interval", 2)
    assert "(checkpoint)" in refused(sdxl, "--sampler", "ddim")
    Path("prompts.txt").write_text("another\n", encoding="utf-8")
    assert "(prompts)" in refused(sd, "--sampler", "ddim")
    assert content("out") == before


def test_folder_with_something_else_is_refused(sd, generate, refused):
    Path("out").mkdir()
    Path("out/.00000.1.partial.png").write_bytes(b"")  # what a killed run leaves
    generate(sd, "--steps", 2)
    Path("other").mkdir()
    Path("other/notes.txt").write_text("mine", encoding="utf-8")
    assert refused(sd, output="other") == "other exists and holds no generation.json: give another --output"
    Path("out/generation.json").write_text("{", encoding="utf-8")
    assert refused(sd, "--steps", 2).startswith("out/generation.json: cannot be read (")
