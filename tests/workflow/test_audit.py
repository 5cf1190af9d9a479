"""The audit names what is missing, changed by hand, stale, unknown or wrong, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deepcache import imports
from deepcache.errors import DeepCacheError
from deepcache.files import sha256
from deepcache.results.audit import REMADE, audit

RUN = "results/tiny/digits-ddpm/ddim-10/uniform-n3-b2/seed-0"
TABLE = "results/tiny/tables/table02.csv"


@pytest.fixture(scope="module")
def audited(finished, tmp_path_factory) -> Path:
    """A copy of a finished project, to be spoilt and mended."""
    folder = tmp_path_factory.mktemp("audited") / "project"
    shutil.copytree(finished.folder, folder, ignore=shutil.ignore_patterns(".snakemake", "__pycache__"))
    return folder


@pytest.fixture
def findings(audited, monkeypatch):
    """A function that audits the copy: kind, file, problem and what is behind it, of each finding."""
    monkeypatch.chdir(audited)

    def look() -> list[tuple[str, str, str, tuple[str, ...]]]:
        for remembered in (imports.code_digest, imports._sha256):
            remembered.cache_clear()
        return [(one.kind, one.name, one.problem, one.behind) for one in audit(Path("results/tiny"), audited).findings]

    return look


@pytest.fixture
def spoilt(audited):
    """A function that replaces what a file holds; it is restored in the end."""
    kept = {}

    def spoil(name: str | Path, content: bytes | None) -> None:
        path = audited / name
        kept[path] = path.read_bytes() if path.exists() else None
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)

    yield spoil
    for path, content in kept.items():
        path.unlink(missing_ok=True) if content is None else path.write_bytes(content)


def one_byte_off(path: Path) -> bytes:
    content = path.read_bytes()
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def run(folder: Path, results: str) -> subprocess.CompletedProcess:
    """The program, with the copy's code."""
    return subprocess.run(
        [sys.executable, "workflow/scripts/audit.py", results],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_what_nobody_touched_has_no_findings(audited):
    done = run(audited, "results/tiny")
    runs = len(list(audited.glob("results/tiny/digits-ddpm/*/*/*/run.json")))
    assert done.returncode == 0, done.stdout
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"results/tiny: 5 files of tables and pictures rest on {runs} runs, ")
    assert line.endswith("; 4 files of tables written anew; findings: 0")


@pytest.mark.parametrize(
    ("name", "writer"),
    [
        (f"{RUN}/shards/00001.npz", "sample_shard"),
        (f"{RUN}/run.json", "collect_run"),
        (f"{RUN}/metrics.json", "metrics"),
        ("results/tiny/references/digits-16.npz", "reference_statistics"),
        ("results/tiny/checkpoints/digits-ddpm.json", "checkpoint_in_place"),
        ("results/tiny/timing/digits-ddpm.json", "time_models"),
        ("results/tiny/figures/table2_samples.png", "sample_grid"),
        (TABLE, "write_table2"),
        (TABLE.replace(".csv", ".md"), "write_table2"),
    ],
)
def test_one_byte_is_named(findings, spoilt, name, writer):
    spoilt(name, one_byte_off(Path(name)))
    ((kind, found, problem, behind),) = findings()
    assert (kind, found) == ("changed", name)
    assert problem.startswith(f"it is not what {writer} wrote: ")
    assert (name if name.startswith(("results/tiny/tables", "results/tiny/figures")) else TABLE) in behind


def test_what_is_missing_is_named(findings, spoilt):
    spoilt(f"{RUN}/shards/00000.npz", None)
    spoilt(TABLE, None)
    assert [found[:3] for found in findings()] == [
        ("missing", f"{RUN}/shards/00000.npz", f"sample_shard wrote it: {REMADE}"),
        ("missing", TABLE, f"write_table2 wrote it: {REMADE}"),
    ]


def test_weights_that_were_replaced_are_named(findings, spoilt):
    name = "resources/checkpoints/digits-ddpm/unet/diffusion_pytorch_model.safetensors"
    spoilt(name, one_byte_off(Path(name)))
    found = {one[1]: one[:3] for one in findings()}
    assert found[name][0] == "changed"
    manifest = "results/tiny/checkpoints/digits-ddpm.json"
    assert found.keys() == {name, manifest}
    assert name in found[manifest][2], "opening it checks the weights"


def test_what_was_made_from_another_file_is_stale(findings, spoilt):
    """As when a job is run again by hand, with its record, and what rests on it is not."""
    name, record = f"{RUN}/metrics.json", Path("results/tiny/records/metrics/digits-ddpm/ddim-10/uniform-n3-b2/0.json")
    spoilt(name, Path(name).read_bytes().replace(b'"kid"', b'"kid" '))
    made = json.loads(record.read_text(encoding="utf-8"))
    spoilt(record, json.dumps({**made, "outputs": {name: sha256(name)}}).encode())
    found = {one[1]: one[:3] for one in findings()}
    assert found[TABLE] == ("stale", TABLE, f"write_table2 made it from another {name}: run again")


def test_edited_code_makes_its_results_stale(findings, spoilt):
    spoilt("deepcache/quality/fidelity.py", Path("deepcache/quality/fidelity.py").read_bytes() + b"# edited\n")
    found = findings()
    assert {one[0] for one in found} == {"stale"}
    names = {one[1] for one in found}
    assert f"{RUN}/metrics.json" in names
    assert f"{RUN}/shards/00000.npz" not in names, "sampling does not import it"
    assert any("workflow/scripts/metrics.py, or something that it imports, has changed" in one[2] for one in found)


def test_what_no_job_made_is_unknown(findings, spoilt):
    spoilt("results/tiny/tables/table99.csv", b"method,fid\nours,0.1\n")
    ((kind, name, _, _),) = findings()
    assert (kind, name) == ("unknown", "results/tiny/tables/table99.csv")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (None, None, "cannot be read ("),
        ("outputs", [], "no job writes such outputs"),
        ("arguments", [1], "no job writes such arguments"),
        ("code", None, "no job writes such code"),
    ],
)
def test_a_damaged_record_is_named_and_the_others_are_read(findings, spoilt, key, value, said):
    record = Path("results/tiny/records/write_table6.json")
    made = json.loads(record.read_text(encoding="utf-8"))
    spoilt(record, json.dumps({**made, key: value}).encode() if key else record.read_bytes()[:-9])
    found = {one[1]: one for one in findings()}
    assert found.keys() == {str(record), *made["outputs"]}
    assert found[str(record)][0] == "changed"
    assert said in found[str(record)][2]
    assert {found[name][0] for name in made["outputs"]} == {"unknown"}


def test_a_record_without_code_is_named(findings, spoilt):
    record = Path("results/tiny/records/write_table6.json")
    made = json.loads(record.read_text(encoding="utf-8"))
    spoilt(record, json.dumps({**made, "code": ""}).encode())
    found = findings()
    assert {one[1]: one[0] for one in found} == dict.fromkeys(made["outputs"], "unknown")
    assert {one[2] for one in found} == {"write_table6 recorded no code: run again"}


def test_a_table_whose_record_was_changed_with_it_is_wrong(findings, spoilt):
    record, table = Path("results/tiny/records/write_table6.json"), "results/tiny/tables/table06.csv"
    made = json.loads(record.read_text(encoding="utf-8"))
    spoilt(table, Path(table).read_bytes().replace(b"0.", b"1.", 1))
    spoilt(record, json.dumps({**made, "outputs": {**made["outputs"], table: sha256(table)}}).encode())
    ((kind, name, _, _),) = findings()
    assert (kind, name) == ("wrong", table)


def test_the_program_groups_findings_and_fails(audited, findings, spoilt):
    for shard in range(2):
        spoilt(f"{RUN}/shards/0000{shard}.npz", None)
    done = run(audited, "results/tiny")
    assert done.returncode == 1
    first, last = done.stdout.splitlines()
    assert first == (
        f"missing: {RUN}/shards/00000.npz, {RUN}/shards/00001.npz: sample_shard wrote it: {REMADE}"
        f" (behind results/tiny/figures/table2_samples.png, {TABLE}, {TABLE.replace('.csv', '.md')})"
    )
    assert last.endswith("findings: 2")


def test_a_program_that_writes_no_tables_is_not_run(audited, findings, spoilt):
    """As in results from elsewhere, whose record names a program that would run one of their own."""
    record, program = Path("results/tiny/records/write_table6.json"), "workflow/preloaded.py"
    made = json.loads(record.read_text(encoding="utf-8"))
    spoilt("results/tiny/own.py", b"import pathlib; pathlib.Path('ran').touch()")
    arguments = ["results/tiny/own.py", "--output", "results/tiny/tables/table06.csv"]
    code = f"{program}={imports.code_digest(audited / program, audited)}"
    spoilt(record, json.dumps({**made, "arguments": arguments, "code": code}).encode())
    found = findings()
    assert {one[1]: one[0] for one in found} == {
        **dict.fromkeys(made["outputs"], "wrong"),
        "results/tiny/own.py": "unknown",
    }
    assert not Path("ran").exists()


@pytest.mark.parametrize("where", ["results", "results/tiny", ".."])
def test_another_folder_than_that_of_the_run_is_refused(audited, monkeypatch, where):
    monkeypatch.chdir(audited / where)
    with pytest.raises(DeepCacheError, match="name it as results/<suite>, in the folder where the workflow ran"):
        audit(audited / "results/tiny", audited)


@pytest.mark.parametrize("content", [b"[]", b"null", b"3", b""])
def test_a_damaged_config_of_the_suite_is_no_reason_to_stop(findings, spoilt, content):
    spoilt("results/tiny/suite.json", content)
    assert findings() == []


def test_a_folder_without_records_is_refused(audited, tmp_path):
    done = run(audited, str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert f"{tmp_path.name}: no records/ in it: name results/<suite>" in done.stderr
