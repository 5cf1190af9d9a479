"""Parts under limits: what each came to, what it left, what is said."""

import sys

import pytest

from deepcache.results import parts as module
from deepcache.results.parts import Part, run_parts


def part(folder, name: str, code: str, limit: float = 60, **others) -> Part:
    """It writes a file of its name and does what the code says."""
    write = f"open({str(folder / name)!r}, 'w').close()\n"
    pieces = {"file": (folder / name).exists}
    command = [sys.executable, "-c", write + code]
    return Part(name, [command], limit, folder / f"{name}.txt", pieces, **others)


@pytest.fixture
def parts(tmp_path):
    return [
        part(tmp_path, "good", "pass"),
        part(tmp_path, "hanging", "import time; time.sleep(600)", limit=2),
        part(tmp_path, "bad", "raise SystemExit(4)"),
        part(tmp_path, "last", "pass"),
    ]


def test_each_part_has_its_own_end(parts, tmp_path):
    said = []
    outcomes = run_parts(parts, tmp_path / "summary.md", {"device": "a GPU"}, said.append)
    assert [one.word for one in outcomes] == ["done", "stopped at its limit", "failed", "done"]
    assert [one.failed for one in outcomes] == [False, False, True, False]
    assert all((tmp_path / name).exists() for name in ("good", "hanging", "bad", "last")), "what was written stays"
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "- device: a GPU" in summary and "| hanging | stopped at its limit | 2 | 2 | `hanging.txt` |  |" in summary
    assert said[0].startswith("good: done, ") and len(said) == 4


def test_what_is_not_reached_is_named(tmp_path):
    pieces = {"first": lambda: True, "second": lambda: False, "third": lambda: False}
    slow = Part("slow", [[sys.executable, "-c", "import time; time.sleep(600)"]], 0.5, tmp_path / "slow.txt", pieces)
    said = []
    (outcome,) = run_parts([slow], tmp_path / "summary.md", {}, said.append)
    assert outcome.missing == ("second", "third")
    assert said[0].endswith("; not reached: second, third")
    assert (tmp_path / "summary.md").read_text(encoding="utf-8").endswith("| second; third |\n")


def test_a_part_that_ends_well_without_its_pieces_failed(tmp_path):
    empty = Part("empty", [[sys.executable, "-c", "pass"]], 60, tmp_path / "log.txt", {"file": lambda: False})
    assert run_parts([empty], tmp_path / "summary.md", {}, print)[0].failed


def test_commands_share_the_limit_and_one_that_fails_stops_no_other(tmp_path):
    commands = [
        [sys.executable, "-c", f"open({str(tmp_path / name)!r}, 'w').close(); {then}"]
        for name, then in (("a", "raise SystemExit(1)"), ("b", "import time; time.sleep(600)"), ("c", "pass"))
    ]
    pieces = {name: (tmp_path / name).exists for name in "abc"}
    done = []
    one = Part("several", commands, 4, tmp_path / "log.txt", pieces, after=lambda: done.append(1))
    (outcome,) = run_parts([one], tmp_path / "summary.md", {}, print)
    assert outcome.failed and outcome.missing == ("c",)
    assert outcome.seconds < 30 and done == [1]


def test_before_a_part_ends_the_summary_names_what_is_to_come(parts, tmp_path, monkeypatch):
    seen = []

    def run_within(*arguments):
        seen.append((tmp_path / "summary.md").read_text(encoding="utf-8"))
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run_within", run_within)
    with pytest.raises(KeyboardInterrupt):
        run_parts(parts, tmp_path / "summary.md", {})
    assert seen[0].count("not begun") == 4
