import copy
import re
from pathlib import Path

import pytest
import yaml

from deepcache import DeepCacheError
from deepcache.runs.run import Run
from deepcache.suite.config import validate
from deepcache.suite.layout import baseline, layout_runs, table_layout, timed_variants
from deepcache.suite.reading import extend
from tests.suites import read_suite

ROOT = Path(__file__).resolve().parents[2]
CONFIG = read_suite()


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
        (
            "sample_grids/fig7/label",
            "N = {intrval}",
            "fig7.label: no row of table13 is labelled with intrval",
        ),
        ("sample_grids/fig7/where", {"steps": [7]}, "sample_grids.fig7.where: selects no row of table13 that has runs"),
        ("plan", {}, "config: plan: this key is called estimate now"),
        ("speed", {}, "config: speed: this key is called latency now"),
        ("modells", {}, "config: modells: unknown key; did you mean models?"),
        ("models/digits-ddpm/sample", 5, "config: models.digits-ddpm.sample: unknown key; did you mean samples?"),
        ("models/digits-ddpm/samples", "many", "config: models.digits-ddpm.samples: 'many' is not of type 'integer'"),
        ("models/digits-ddpm/checkpoint", "ddpm", "config: models.digits-ddpm.checkpoint: ddpm is not defined"),
        ("models/digits-ddpm/sampler", "ddim", "config: models.digits-ddpm.sampler: sampler must look like ddim-100"),
        ("suite", "a/b", "config: suite: 'a/b' does not match"),
        ("checkpoints/digits-ddpm/source", "ftp", "config: checkpoints.digits-ddpm.source: 'ftp' is not one of"),
        ("checkpoints/digits-ddpm", {"source": "hub", "repository": "a/b"}, "'revision' is a required property"),
        ("checkpoints/digits-ddpm", {"source": "url"}, "'url' is a required property"),
        ("checkpoints/digits-ddpm", {"source": "random"}, "'architecture' is a required property"),
        ("datasets/digits", {"source": "url", "format": "lmdb"}, "datasets.digits: 'url' is a required property"),
        ("datasets/digits/format", "text", "references.digits-16.dataset: digits has the format text, here it must be"),
        ("models/digits-ddpm/prompts", "nothing", "config: models.digits-ddpm.prompts: nothing is not defined; known"),
        (
            "models/digits-sd/prompts",
            "digits",
            "models.digits-sd.clip: it goes with texts, but digits holds pictures: ",
        ),
        (
            "models/digits-sd/calibration_prompts",
            "digits",
            "models.digits-sd.calibration_prompts: digits holds pictures, but the prompts are texts",
        ),
        ("checkpoints/digits-ddpm", {"source": "local"}, "checkpoints.digits-ddpm: 'folder' is a required property"),
        ("references/digits-16/extractor", "vgg", "config: references.digits-16.extractor: 'vgg' is not one of"),
        ("references/digits-16/weights", "vgg", "config: references.digits-16.weights: vgg is not defined"),
        ("tables/table2/rows/3/runs/ours/interval", 0, "tables.table2.rows[3].runs.ours.interval: 0 is less than"),
        ("tables/table2/rows/3/runs/ours/interval", 101, "rows[3].runs.ours.interval: 101 is above the 100 steps"),
        ("tables/table2/rows/3/runs/ours/intervall", 5, "runs.ours.intervall: unknown key; did you mean interval?"),
        ("tables/table2/rows/3/runs/ours/center", 3, "rows[3].runs.ours.center: uniform takes none: leave it out"),
        ("tables/table2/branch", 12, "tables.table2.branch: 12 is not among the model's branches, 0 to 11"),
        ("tables/table12/rows/0/runs/ours/branch", 99, "tables.table12.rows[0].runs.ours.branch: 99 is not among"),
        (
            "tables/table2/rows/3/runs/ours/schedule",
            "nonuniform",
            "rows[3].runs.ours.center: nonuniform needs it",
        ),
        ("tables/table2/rows/3/labels", {"interval": 2}, "tables.table2.rows[3].labels: lacks method"),
        ("tables/table2/published/file", "none.csv", "tables.table2.published.file: no none.csv"),
        ("tables/table6/columns/0/run", "dim", "tables.table6.columns[0].run: no row has a run named dim"),
        ("tables/table6/columns/2/minus", ["fid", "fid_ddim"], "columns[2].minus: no earlier column is named fid"),
        (
            "tables/table2/columns",
            [{"name": "fid", "best": "fid"}],
            "tables.table2.columns[0].best: no row has a search",
        ),
        ("tables/table9/rows/0/search/centers", [24, 100], "table9.rows[0].search: center must be between 0 and"),
        ("models/digits-sd/clip", "vit", "config: models.digits-sd.clip: vit is not defined"),
        ("models/digits-ddpm/clip", "digits-clip", "models.digits-ddpm.clip: a CLIP score needs the model's prompts"),
        ("models/digits-ddpm/negative_prompt", "grey", "models.digits-ddpm.negative_prompt: it goes with the model's"),
        ("models/digits-sd/negative_prompt", "", "config: models.digits-sd.negative_prompt: '' should be non-empty"),
        ("suite", "downloads", "config: suite: results/downloads is what all suites share: give it another name"),
        ("references/digits-16/crop", "left", "references.digits-16.crop: 'left' is not one of ['none', 'center', "),
        (
            "tables/table2/columns",
            ["recall_adm"],
            "tables.table2.columns: precision_adm, recall_adm need a reference whose extractor is inception-adm",
        ),
        ("tables/table2/columns", ["lpips"], "models.digits-ddpm.perceptual: missing, but tables.table2 measures it"),
        ("tables/table9/rows/0/search/by", "clip_score", "models.digits-ldm.clip: missing, but tables.table9 measures"),
        (
            "similarity/layers",
            {"ddpm": "mid_block"},
            "config: similarity.layers: ddpm is not defined; known: digits-ddpm",
        ),
        ("diversity/models", ["sd"], "config: diversity.models: sd is not defined; known: digits-ddpm"),
        ("diversity/models", ["digits-ddpm"], "models.digits-ddpm.prompts: missing, but diversity measures the model"),
        ("diversity/seeds", [0], "config: diversity.seeds: [0] is too short"),
        ("diversity/seeds", [0, 1, 1], "config: diversity.seeds: [0, 1, 1] has non-unique elements"),
        ("diversity/prompts", 51, "config: diversity.prompts: 51 is more than the 50 samples of digits-sd"),
        ("diversity/methods/0/interval", 2, "config: diversity.methods: none is without caching, which the others are"),
        ("diversity/methods/1/interval", 5, "config: diversity.methods[2]: uniform-n5-b1 is there twice"),
        ("diversity/methods/1/interval", 51, "diversity.methods[1].interval: 51 is above the 50 steps of plms-50"),
        (
            "diversity/methods/1/branch",
            12,
            "diversity.methods[1].branch: 12 is not among the model's branches, 0 to 11",
        ),
        ("diversity/methods/1/schedule", "nonuniform", "config: diversity.methods[1].center: nonuniform"),
        ("diversity/methods/1/sampler", "plms-25", "config: diversity.methods[1].sampler: unknown key; known keys:"),
        ("models/digits-sd/seeds", [0, 7002], "models.digits-sd.seeds: 7002 is a seed of the calibration: what is"),
        (
            "tables/table2/rows/8/runs/ours/reuse",
            "hold",
            "table2.rows[8].runs.ours.reuse: what chosen reuses",
        ),
        (
            "beyond/intervals",
            [101],
            "config: beyond.models.digits-ddpm.interval: 101 is above the 100 steps of ddim-100",
        ),
        ("beyond/models/digits-sd/branches", [12], "beyond.models.digits-sd.branch: 12 is not among the model's"),
        ("beyond/models", {"sd": {"branches": [0], "images": 2}}, "config: beyond.models: sd is not defined; known:"),
        ("tables/Table", CONFIG["tables"]["table2"], "config: tables: 'Table' does not match"),
        (
            "tables/ablation_schedulers/rows/14/runs/ours/sampler",
            "pndm-3",
            "sampler pndm-3: pndm needs at least 4 steps",
        ),
        (
            "tables/ablation_branches/rows/1/runs/ours/reuse",
            "zeros",
            "tables.ablation_branches.rows[1].runs.ours.reuse: memory is measured with the model's sampler",
        ),
        (
            "curves/ablations/panels/0/where",
            {"branch": 1},
            "config: curves.ablations.panels[0].where: no row of ablation_schedulers is labelled with branch",
        ),
        ("curves/table2", CONFIG["curves"]["fig6"], "config: curves.table2: a table has the same name"),
        ("curves/fig6/panels/0/table", "table99", "curves.fig6.panels[0].table: table99 is not defined"),
        ("curves/fig6/x/column", "spead", "curves.fig6.x.column: table13 has no column spead; it has clip_nonuniform"),
        ("curves/fig6/series/1/y", "fid", "curves.fig6.series[1].y: table13 has no column fid"),
        (
            "sample_grids/fig6",
            CONFIG["sample_grids"]["fig5"],
            "curves.fig6: a picture in sample_grids has the same name",
        ),
        ("sample_grids/table2_samples/images", 1000, "sample_grids.table2_samples.images: 1000 is more than"),
        ("models/digits-ldm/screened", 97, "models.digits-ldm.screened: 97 is more than the 96 samples of a run"),
        ("models/digits-ldm/screened", 1, "config: models.digits-ldm.screened: 1 is less than the minimum of 2"),
        ("estimate/tflops", 0, "config: estimate.tflops: 0 is less than or equal to the minimum of 0"),
        ("estimate/tflops", {"digits-sd": 1}, "config: estimate.tflops: 'default' is a required property"),
        ("estimate/tflops", {"default": 1, "digits-sd": -1}, "config: estimate.tflops.digits-sd: -1 is less than or"),
        ("estimate/tflops", {"default": 1, "digits-ds": 2}, "config: estimate.tflops: digits-ds is not defined; known"),
    ],
)
def test_a_mistake_is_named_in_one_line(path, value, message):
    with pytest.raises(DeepCacheError, match=re.escape(message)) as raised:
        check(change(path, value))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"models/digits-sd/sampler": "euler-20"}, "models.digits-sd.sampler"),
        ({"tables/table13/rows/1/runs/uniform/sampler": "euler-20"}, "tables.table13.rows[1].runs.uniform.sampler"),
    ],
)
def test_a_negative_prompt_needs_guidance_in_every_run(changes, key):
    config = change("models/digits-sd/negative_prompt", "blurry")
    check(config)
    for path, value in changes.items():
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        place = config
        for part in parents:
            place = place[part]
        place[last] = value
    with pytest.raises(DeepCacheError, match=re.escape(f"config: {key}: euler-20 is without guidance, which the")):
        check(config)


def test_a_missing_key_is_named():
    config = copy.deepcopy(CONFIG)
    del config["models"]["digits-ddpm"]["samples"]
    with pytest.raises(DeepCacheError, match=r"models.digits-ddpm: 'samples' is a required property"):
        check(config)


def test_layout_spells_out_every_run():
    layout = table_layout(CONFIG, "table2")
    paths = [str(run.path) for run in layout_runs(layout)]
    assert paths[0] == "digits-ddpm/ddim-100/full/seed-0"
    assert paths[4] == "digits-ddpm/ddim-100/uniform-n10-b2/seed-0"
    assert paths[-1] == "digits-ddpm/ddim-100/chosen-n20-b2/seed-0"
    assert len(paths) == 9
    assert timed_variants(layout)[0] == "digits-ddpm/ddim-100/full"


def test_uncached_is_timed_even_where_no_row_shows_it():
    variants = timed_variants(table_layout(CONFIG, "table12"))
    assert variants[0] == "digits-ddpm/ddim-100/full"
    assert len(variants) == 13


def test_a_search_runs_every_candidate_with_the_first_seed():
    layout = table_layout(CONFIG, "table9")
    found = [str(run.path) for run in layout_runs(layout) if run.method.interval == 20]
    shapes = [f"c{center}-p{power}" for center in (24, 48, 72) for power in (1.2, 1.4)]
    assert found == [f"digits-ldm/ddim-100-cfg1.5/nonuniform-n20-{shape}-b0/seed-0" for shape in shapes]
    assert layout_runs(layout, ("fid",)) == layout_runs(layout)
    assert layout_runs(layout, ("macs_g",)) == []


def test_a_search_by_clip_score_may_name_its_model():
    layout = table_layout(CONFIG, "table10")
    assert {row["by"] for row in layout["rows"]} == {"clip_score"}
    assert {run.model for run in layout_runs(layout, ("clip_score",))} == {"digits-sd", "digits-sd-captions"}
    assert layout_runs(layout, ("fid",)) == []


def test_nothing_is_timed_for_a_table_without_times():
    assert timed_variants(table_layout(CONFIG, "table6")) == []


def test_a_model_without_a_reference_is_not_measured():
    config = change("models/digits-ddpm/reference", "digits-16")
    del config["models"]["digits-ddpm"]["reference"]
    with pytest.raises(DeepCacheError, match=r"models.digits-ddpm.reference: missing, but tables.table2 measures it"):
        check(config)


def test_speed_is_measured_against_what_the_config_says():
    config = change("tables/table2/rows/3/runs/ours", {"sampler": "ddim-50", "against": {}})
    layout = table_layout(config, "table2")
    assert layout["against"] == {"digits-ddpm/ddim-50/full": "digits-ddpm/ddim-100/full"}
    uncached = Run.parse("digits-ddpm/ddim-100/full/seed-3")
    assert baseline(layout, Run.parse("digits-ddpm/ddim-50/full/seed-3")) == uncached
    assert baseline(layout, Run.parse("digits-ddpm/ddim-100/uniform-n3-b2/seed-3")) == uncached


def test_a_run_is_measured_against_another_cached_one_but_not_against_two():
    chosen = {"interval": 4, "schedule": "chosen", "against": {"interval": 5}}
    config = change("tables/table2/rows/3/runs/ours", chosen)
    check(config)
    held = Run.parse("digits-ddpm/ddim-100/uniform-n5-b2/seed-3")
    assert baseline(table_layout(config, "table2"), Run.parse("digits-ddpm/ddim-100/chosen-n4-b2/seed-3")) == held
    for again in ({**chosen, "against": {"interval": 3}}, {"interval": 4, "schedule": "chosen"}):
        config["tables"]["table2"]["rows"][4]["runs"] = {"ours": again}
        with pytest.raises(DeepCacheError, match=r"rows\[4\].runs.ours.against: .*chosen-n4-b2 is measured against "):
            check(config)


@pytest.mark.parametrize("name", ["paper", "paper-quick", "smoke", "emoji", "modern", "modern-smoke"])
def test_the_other_suites_are_good(name):
    config = read_suite(name)
    check(config)
    assert config["suite"] == name.removesuffix("-quick")


def test_a_suite_extends_another(tmp_path):
    (tmp_path / "base.yaml").write_text("a: {x: 1, y: [1, 2], z: 3}\nb: {c: 1}\n", encoding="utf-8")
    (tmp_path / "middle.yaml").write_text("extends: base.yaml\na: {y: [3]}\n", encoding="utf-8")
    config = {"extends": "middle.yaml", "a": {"x": {"deeper": 1}, "z": None}, "d": 4}
    assert extend(config, tmp_path) == {"a": {"x": {"deeper": 1}, "y": [3]}, "b": {"c": 1}, "d": 4}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"/a\.yaml cannot be read \(.*No such file"),
        ({"a": "x: ["}, r"/a\.yaml cannot be read \(while parsing"),
        ({"a": ""}, r"/a\.yaml holds no keys$"),
        ({"a": "- x"}, r"/a\.yaml holds no keys$"),
        ({"a": "extends: 5"}, "5 is no path of a file$"),
        ({"a": "extends: a.yaml"}, r"/a\.yaml extends itself, by way of .*/a\.yaml$"),
        ({"a": "extends: b.yaml", "b": "extends: a.yaml"}, r"/a\.yaml extends itself, by way of .*/b\.yaml$"),
    ],
)
def test_what_cannot_be_extended_is_one_line(tmp_path, files, message):
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(DeepCacheError, match=f"^config: extends: .*{message}") as error:
        extend({"extends": "a.yaml"}, tmp_path)
    assert "\n" not in str(error.value)


def test_configs_declare_the_branches_that_the_models_have():
    from deepcache import num_branches
    from deepcache.models.emoji_sd import emoji_sd_unet
    from deepcache.models.paper import ARCHITECTURES
    from deepcache.models.sdxl import sdxl_unet
    from deepcache.models.svd import svd_unet
    from deepcache.sampling.families import bare_unet

    for name, model in CONFIG["models"].items():
        unet, _ = bare_unet(ROOT / CONFIG["checkpoints"][model["checkpoint"]]["folder"])
        assert model["branches"] == num_branches(unet), name
    emoji = read_suite("emoji")["models"]
    for name, layers in (("emoji-sd", 2), ("emoji-bk-sdm", 1)):
        assert emoji[name]["branches"] == emoji[f"{name}-held-out"]["branches"] == num_branches(emoji_sd_unet(layers))
    known = {"sdxl": sdxl_unet, "svd": svd_unet}
    for name, model in read_suite("modern")["models"].items():
        assert model["branches"] == num_branches(known[model["checkpoint"]]()), name
    paper = yaml.safe_load((ROOT / "config/paper.yaml").read_text(encoding="utf-8"))
    for model in paper["models"].values():
        architecture = paper["checkpoints"][model["checkpoint"]]["architecture"]
        assert model["branches"] == num_branches(ARCHITECTURES[architecture].build()), architecture
