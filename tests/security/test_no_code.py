"""No file that is read can run code: no pickle, no code of a checkpoint, no text of a config."""

import ast
import io
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from deepcache import DeepCacheError
from deepcache.beyond.calibration.recorded import open_recorded
from deepcache.files import sha256
from deepcache.quality.partial import Partial
from deepcache.quality.statistics import Statistics
from deepcache.report.reading import read_recorded as read_similarity
from deepcache.sampling.families import load_model
from deepcache.sampling.shards import read_shard
from tests.conftest import ROOT

SD = ROOT / "resources/checkpoints/digits-sd"
PROMPTS = ROOT / "resources/prompts/digits.txt"
CODE = "from pathlib import Path\nPath({made!r}).touch()\nfrom diffusers import UNet2DConditionModel as Network\n"


class Evil:
    """Its pickle makes a file when it is read."""

    def __init__(self, made: Path):
        self.made = made

    def __reduce__(self):
        return Path.touch, (self.made,)


@pytest.fixture
def made(tmp_path) -> Path:
    """The file that code would make; it is not there in the end, though the pickles work."""
    path = tmp_path / "made"
    pickle.loads(pickle.dumps(Evil(path)))
    path.unlink()
    yield path
    assert not path.exists(), "code of a file was run"


def calls(name: str) -> list[tuple[str, ast.Call]]:
    """Calls of a function by its dotted name, with the place."""
    found = []
    for folder in ("deepcache", "workflow", "snakemake_logger_plugin_live"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == name:
                    found.append((f"{path.relative_to(ROOT)}:{node.lineno}", node))
    return found


@pytest.mark.parametrize(
    ("name", "keyword", "value"), [("torch.load", "weights_only", True), ("np.load", "allow_pickle", False)]
)
def test_every_load_says_that_it_runs_nothing(name, keyword, value):
    found = calls(name)
    assert len(found) >= 3
    for place, call in found:
        given = {one.arg: one.value.value for one in call.keywords if isinstance(one.value, ast.Constant)}
        assert given.get(keyword) is value, place


@pytest.mark.parametrize(
    "name",
    ["pickle.load", "pickle.loads", "joblib.load", "yaml.unsafe_load", "yaml.full_load", "eval", "exec", "os.system"],
)
def test_nothing_that_runs_code_is_called(name):
    assert [place for place, _ in calls(name)] == []


def test_no_command_goes_through_a_shell():
    for name in ("subprocess.run", "subprocess.Popen", "subprocess.check_output"):
        for place, call in calls(name):
            assert "shell" not in {one.arg for one in call.keywords}, place


ARRAYS = {
    "a shard": (read_shard, ("images", "about")),
    "a recording": (open_recorded, ("products", "image", "gram", "about")),
    "a similarity": (read_similarity, ("about", "matrix", "maps")),
    "reference statistics": (Statistics.load, ("about", "mu", "sigma", "features")),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_objects_in_an_archive_are_not_made(name, made, tmp_path):
    read, keys = ARRAYS[name]
    path = tmp_path / "x.npz"
    np.savez(path, **{key: np.array([Evil(made)], object) for key in keys})
    with pytest.raises(DeepCacheError, match=f"^{path}: "):
        read(path)


def test_a_state_that_holds_objects_is_begun_anew(made, tmp_path):
    np.savez(tmp_path / "p.npz", key=np.array([Evil(made)], object))
    assert Partial(tmp_path / "p.npz", {}, 1).load() is None


def with_pickle(folder: Path, part: str, made: Path) -> None:
    for file in (folder / part).glob("*.safetensors"):
        file.unlink()
    name = "pytorch_model.bin" if part == "text_encoder" else "diffusion_pytorch_model.bin"
    torch.save({"weight": Evil(made)}, folder / part / name)


def with_code(folder: Path, made: Path, where: str) -> None:
    """Python beside the weights, and every way that a checkpoint's files could ask for it."""
    for place in (folder, *filter(Path.is_dir, folder.iterdir())):
        (place / "network.py").write_text(CODE.format(made=str(made)), encoding="utf-8")
    file, key, value = {
        "a part": ("model_index.json", "unet", ["network", "Network"]),
        "the pipeline": ("model_index.json", "_class_name", ["network", "StableDiffusionPipeline"]),
        "the text encoder": ("text_encoder/config.json", "auto_map", {"AutoModel": "network.Network"}),
        "the tokenizer": ("tokenizer/tokenizer_config.json", "auto_map", {"AutoTokenizer": ["network.Network", None]}),
        "a function": ("model_index.json", "unet", ["os", "system"]),
    }[where]
    content = json.loads((folder / file).read_text(encoding="utf-8"))
    (folder / file).write_text(json.dumps({**content, key: value}), encoding="utf-8")


@pytest.fixture
def folder(tmp_path) -> Path:
    shutil.copytree(SD, tmp_path / "sd")
    return tmp_path / "sd"


def generated(call, folder: Path, tmp_path: Path) -> int:
    options = ("--checkpoint", folder, "--prompts", PROMPTS, "--steps", 1, "--output", tmp_path / "out")
    prompts = tmp_path / "p.txt"
    prompts.write_text("a seven\n", encoding="utf-8")
    return call("generate.py", *(prompts if one == PROMPTS else one for one in options))


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_pickle_among_the_weights_is_refused(part, made, folder, call, tmp_path, capsys):
    with_pickle(folder, part, made)
    refused = "a file of weights holds more than weights, and nothing in it is run: get it again"
    with pytest.raises(DeepCacheError) as raised:
        load_model(folder, "cpu", prompts=["seven"])
    assert str(raised.value) == f"{folder}: cannot be loaded as Stable Diffusion ({refused})"
    assert generated(call, folder, tmp_path) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"error: {folder}: diffusers cannot load it ({refused})"


@pytest.mark.parametrize("where", ["a part", "the pipeline", "a function"])
def test_code_of_a_checkpoint_is_refused(where, made, folder, call, tmp_path, capsys):
    with_code(folder, made, where)
    with pytest.raises(DeepCacheError, match=f"^{folder}") as raised:
        load_model(folder, "cpu", prompts=["seven"])
    assert "trust_remote_code" not in str(raised.value), "no advice to run it"
    assert generated(call, folder, tmp_path) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {folder}")


@pytest.mark.parametrize("where", ["the text encoder", "the tokenizer"])
def test_code_that_a_config_mentions_is_not_run(where, made, folder, call, tmp_path):
    with_code(folder, made, where)
    load_model(folder, "cpu", prompts=["seven"])
    assert generated(call, folder, tmp_path) == 0


def test_a_manifest_is_data(made, tmp_path, call, capsys):
    (tmp_path / "m.json").write_bytes(pickle.dumps(Evil(made)))
    assert call("model_macs.py", "--checkpoint", tmp_path / "m.json", "--output", tmp_path / "o.json") == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'm.json'}: not a checkpoint manifest (")


def test_weights_to_be_converted_are_not_unpickled(made, tmp_path, call, capsys):
    """As a download that is converted, without zip: torch's format before 1.6."""
    stream = io.BytesIO()
    torch.save({"state_dict": {"model.x": Evil(made)}}, stream, _use_new_zipfile_serialization=False)
    (tmp_path / "old.ckpt").write_bytes(stream.getvalue())
    digest = sha256(tmp_path / "old.ckpt")
    assert call("convert_ldm.py", "--checkpoint", tmp_path / "old.ckpt", "--output", tmp_path / "out") == 1
    assert "refused: a pickle that wants " in capsys.readouterr().err
    assert sha256(tmp_path / "old.ckpt") == digest and not (tmp_path / "out").exists()
