"""Prompts, by a manifest or straight from a file."""

import json
from pathlib import Path

import pytest

from deepcache import DeepCacheError
from deepcache.data.manifests import write_manifest
from deepcache.files import sha256
from deepcache.quality.prompted_images import open_prompts


def test_prompts_come_from_a_manifest_or_from_the_file(tmp_path):
    captions = {"images": [{"id": 7}, {"id": 3}], "annotations": []}
    captions["annotations"] = [{"image_id": 3, "caption": "green dog"}, {"image_id": 7, "caption": "a cat"}]
    for name, content in (("coco.json", json.dumps(captions)), ("plain.txt", "a cat\ngreen dog\n")):
        (tmp_path / name).write_text(content, encoding="utf-8")
        form = {".json": "coco", ".txt": "text"}[Path(name).suffix]
        write_manifest(tmp_path / "manifest.json", "mine", form, tmp_path / name, "local")
        expected = {"prompts": 2, "fingerprint": sha256(tmp_path / name)}
        for path in (tmp_path / name, tmp_path / "manifest.json"):
            assert open_prompts(path) == (["a cat", "green dog"], {"file": str(path), **expected})
    (tmp_path / "plain.txt").write_text("another\n", encoding="utf-8")
    with pytest.raises(DeepCacheError, match="changed since"):
        open_prompts(tmp_path / "manifest.json")
    write_manifest(tmp_path / "manifest.json", "digits", "digits", None, "bundled")
    with pytest.raises(DeepCacheError, match=r"datasets\.digits: digits holds images, not prompts"):
        open_prompts(tmp_path / "manifest.json")


@pytest.mark.parametrize("content", ["[1]", "3", "{", '{"images": []}'])
def test_json_that_is_neither(tmp_path, content):
    (tmp_path / "x.json").write_text(content, encoding="utf-8")
    with pytest.raises(DeepCacheError, match=r"x\.json"):
        open_prompts(tmp_path / "x.json")
