"""generate.py with an exported U-Net, which export.py has made."""

import json

import numpy as np


def test_images_are_those_of_the_u_net_itself(sd, generate, call, refused, tmp_path, capsys):
    assert call("export.py", "--checkpoint", sd, "--branch", 1, "--batch-size", 3, "--output", tmp_path / "unet") == 0
    printed = capsys.readouterr().out
    assert "full: " in printed and "shallow: " in printed and "feature: differs by at most" in printed
    about = json.loads((tmp_path / "unet/export.json").read_text(encoding="utf-8"))
    assert (about["branch"], about["runtime"], about["inputs"]["sample"][0]) == (1, "onnx", 6)
    caching = ("--cache-interval", 3, "--cache-branch", 1, "--batch-size", 3)
    wanted, _ = generate(sd, *caching)
    found, record = generate(sd, *caching, "--exported", tmp_path / "unet", output="exported")
    assert np.abs(found - wanted).max() <= 1 and wanted.std() > 1
    assert record["settings"]["exported"] == "onnx" and record["full_steps"] == [0, 3]
    line = refused(sd, *caching[:2], *caching[4:], "--exported", tmp_path / "unet", output="other")
    assert line == "this U-Net was exported for branch 1, not 0: give branch=1, or export it anew"
    for options, words in (
        (("--batch-size", 2), "--batch-size 2: an exported U-Net takes whole batches, and 3 images leave a rest"),
        (("--batch-size", 1), "is called with 2 latents of 8x8, and was exported for 6 of 8x8: export it"),
        (("--batch-size", 3, "--height", 24), "is called with 6 latents of 12x8"),
        (("--batch-size", 3, "--guidance-scale", 1), "is called with 3 latents of 8x8"),
    ):
        line = refused(sd, *caching[:4], *options, "--exported", tmp_path / "unet", output="other")
        assert words in line
    half, _ = generate(sd, *caching, "--exported", tmp_path / "unet", "--precision", "float16", output="half")
    assert np.abs(half - wanted).mean() < 2, "the rest of the pipeline in half precision"
    line = refused(sd, *caching, "--exported", tmp_path / "unet", "--precision", "bfloat16", output="other")
    assert line == "--precision bfloat16: an exported U-Net goes with float32 and float16"
    about["unet"] = "0" * 64
    (tmp_path / "unet/export.json").write_text(json.dumps(about), encoding="utf-8")
    line = refused(sd, *caching, "--exported", tmp_path / "unet", output="other")
    assert "it is of other weights than the checkpoint's: export them" in line
