import copy
import re
from pathlib import Path

import pytest
import yaml

from deepcache import DeepCacheError
from deepcache.results.config import validate
from deepcache.results.layout import layout_runs, table_layout, timed_variants

ROOT = Path(__file__).resolve().parents[2]
CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())


def check(config):
    validate(config, ROOT / "config/schema.yaml", ROOT / "config/published")


def test_the_shipped_config_is_good():
    check(CONFIG)


def change(path: str, value) -> dict:
    config = copy.deepcopy(CONFIG)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    place = config
    for part in parents:
        place = place[part]
    place[last] = value
    return config


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("modells", {}, "config: modells: unknown key; did you mean models?"),
        ("models/digits-ddpm/sample", 5, "config: models.digits-ddpm.sample: unknown key; did you mean samples?"),
        ("models/digits-ddpm/samples", "many", "config: models.digits-ddpm.samples: 'many' is not of type 'integer'"),
        ("models/digits-ddpm/checkpoint", "ddpm", "config: models.digits-ddpm.checkpoint: ddpm is not defined"),
        ("models/digits-ddpm/sampler", "ddim", "config: models.digits-ddpm.sampler: sampler must look like ddim-100"),
        ("suite", "a/b", "config: suite: 'a/b' does not match"),
        ("checkpoints/digits-ddpm/source", "ftp", "config: checkpoints.digits-ddpm.source: 'ftp' is not one of"),
        ("checkpoints/digits-ddpm", {"source": "hub", "repository": "a/b"}, "'revision' is a required property"),
        ("checkpoints/digits-ddpm", {"source": "url", "url": "https://a/b.ckpt"}, "'sha256' is a required property"),
        ("checkpoints/digits-ddpm", {"source": "local"}, "checkpoints.digits-ddpm: 'folder' is a required property"),
        ("references/digits-16/extractor", "vgg", "config: references.digits-16.extractor: vgg is not defined"),
        ("tables/table2/rows/3/runs/ours/interval", 0, "tables.table2.rows[3].runs.ours.interval: 0 is less than"),
        ("tables/table2/rows/3/runs/ours/interval", 101, "rows[3].runs.ours.interval: 101 is above the 100 steps"),
        ("tables/table2/rows/3/runs/ours/intervall", 5, "runs.ours.intervall: unknown key; did you mean interval?"),
        ("tables/table2/branch", 12, "tables.table2.branch: 12 is not among the model's branches, 0 to 11"),
        ("tables/table12/rows/0/runs/ours/branch", 99, "tables.table12.rows[0].runs.ours.branch: 99 is not among"),
        ("tables/table2/rows/3/runs/ours/schedule", "nonuniform", "tables.table2.rows[3].runs.ours.center: a nonunif"),
        ("tables/table2/rows/3/labels", {"interval": 2}, "tables.table2.rows[3].labels: lacks method"),
        ("tables/table2/published/file", "none.csv", "tables.table2.published.file: no none.csv"),
        ("tables/table6/columns/0/run", "dim", "tables.table6.columns[0].run: no row has a run named dim"),
        ("tables/table6/columns/2/minus", ["fid", "fid_ddim"], "columns[2].minus: no earlier column is named fid"),
        ("sample_grids/table2_samples/images", 1000, "sample_grids.table2_samples.images: 1000 is more than"),
    ],
)
def test_a_mistake_is_named_in_one_line(path, value, message):
    with pytest.raises(DeepCacheError, match=re.escape(message)) as raised:
        check(change(path, value))
    assert "\n" not in str(raised.value)


def test_a_missing_key_is_named():
    config = copy.deepcopy(CONFIG)
    del config["models"]["digits-ddpm"]["samples"]
    with pytest.raises(DeepCacheError, match=r"models.digits-ddpm: 'samples' is a required property"):
        check(config)


def test_layout_spells_out_every_run():
    layout = table_layout(CONFIG, "table2")
    paths = [str(run.path) for run in layout_runs(layout)]
    assert paths[0] == "digits-ddpm/ddim-100/full/seed-0"
    assert paths[-1] == "digits-ddpm/ddim-100/uniform-n10-b2/seed-0"
    assert len(paths) == 5
    assert timed_variants(layout)[0] == "digits-ddpm/ddim-100/full"


def test_uncached_is_timed_even_where_no_row_shows_it():
    variants = timed_variants(table_layout(CONFIG, "table12"))
    assert variants[0] == "digits-ddpm/ddim-100/full"
    assert len(variants) == 13


def test_nothing_is_timed_for_a_table_without_times():
    assert timed_variants(table_layout(CONFIG, "table6")) == []


def test_config_declares_the_branches_that_the_checkpoint_has():
    from diffusers import UNet2DModel

    from deepcache import num_branches

    unet = UNet2DModel.from_config(UNet2DModel.load_config(ROOT / "resources/checkpoints/digits-ddpm/unet"))
    assert CONFIG["models"]["digits-ddpm"]["branches"] == num_branches(unet)
