"""What every program of the workflow shares."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from deepcache import cli
from deepcache.errors import DeepCacheError
from deepcache.progress import progress

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "workflow/scripts"
SCRIPTS = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_answers_help_at_once(script):
    command = [sys.executable, "-X", "importtime", FOLDER / script, "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert "usage:" in done.stdout
    assert "| torch\n" not in done.stderr, "asking for help does not import torch"


def run(monkeypatch, main, *arguments):
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    cli.run(main, cli.argument_parser("A program."))


def test_bad_input_is_one_line_and_status_1(monkeypatch, capsys, tmp_path):
    def main(arguments):
        raise DeepCacheError("config: suite: missing")

    with pytest.raises(SystemExit) as end:
        run(monkeypatch, main, "--log", str(tmp_path / "deep/log"))
    assert end.value.code == 1
    assert (
        capsys.readouterr().err
        == (tmp_path / "deep/log").read_text(encoding="utf-8")
        == "error: config: suite: missing\n"
    )


def test_a_defect_shows_its_traceback_on_the_terminal_and_in_the_log(monkeypatch, capsys, tmp_path):
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, lambda arguments: 1 // 0, "--log", str(tmp_path / "log"))
    assert end.value.code == 1
    assert "ZeroDivisionError" in (tmp_path / "log").read_text(encoding="utf-8")
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_log_that_stderr_goes_to_already_is_written_once(tmp_path):
    program = (
        "import sys; from deepcache import cli\n"
        "cli.run(lambda arguments: print('once', file=sys.stderr), cli.argument_parser('A program.'))"
    )
    log = tmp_path / "log"
    with log.open("w", encoding="utf-8") as stream:
        subprocess.run([sys.executable, "-c", program, "--log", log], stderr=stream, check=True, cwd=ROOT)
    assert log.read_text(encoding="utf-8") == "once\n"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_bar_moves_on_the_terminal_and_is_lines_in_the_log(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())

    def main(arguments):
        for _ in progress(range(300), "work", unit="step"):
            pass
        print("done", file=sys.stderr)

    run(monkeypatch, main, "--log", str(tmp_path / "log"))
    assert "\r" in terminal.getvalue()
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert "\r" not in log
    assert log.startswith("work:   0%|")
    assert log.endswith("done\n")
    assert log.count("\n") < 6


def test_a_bar_without_a_terminal_is_lines(monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    for _ in progress(range(5), "work", unit="step"):
        pass
    lines = stream.getvalue().splitlines()
    assert lines[-1].startswith("work: 100%")
    assert "5/5" in lines[-1]


@pytest.mark.parametrize("text", ["0", "-1", "many"])
def test_positive_arguments(text):
    with pytest.raises(ValueError):
        cli.positive(text)
