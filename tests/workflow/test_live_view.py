"""What the view shows, on a terminal and without one."""

import io
import logging
import time

import pytest
from rich.console import Console
from snakemake.logging import DefaultFormatter
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.tests import MockOutputSettings

from snakemake_logger_plugin_live import LogHandler
from snakemake_logger_plugin_live.frame import frame, line
from snakemake_logger_plugin_live.screens import PlainScreen
from tests.workflow.records import cores, failed, finished, plan, progress, record, started


def run(*more):
    """A run of six samples and a table: one is done, one runs."""
    first = started(1, "sample", priority="highest")
    second = started(2, "sample", 10, wildcards={"model": "ddpm", "shard": "00001"})
    return [plan(sample=6, table=1), cores(1), first, finished(1, 10), second, *more]


def test_a_run_in_a_line():
    assert line(progress(*run()), 14) == "1 of 7 jobs done in 14 s; running: 1 sample; about 56 s left"
    assert line(progress(*run(failed(2))), 130) == "1 of 7 jobs done, 1 failed in 2 min"


def draw(state, now: float, width: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(frame(state, now))
    return console.file.getvalue().splitlines()


def test_a_run_on_a_terminal():
    head, running, waiting = draw(progress(*run()), 14)
    assert head.startswith("1 of 7 jobs done ━") and head.rstrip().endswith("14 s, about 56 s left")
    assert running.rstrip() == "  sample  ddpm 00001  4 s of about 10 s"
    assert waiting.rstrip() == "  to come: 4 sample, 1 table"


def test_many_jobs_take_few_lines_and_no_line_is_broken():
    jobs = [started(i, f"rule{i}", wildcards={"name": "x" * 200}) for i in range(40)]
    lines = draw(progress(plan(**{f"rule{i}": 2 for i in range(40)}), *jobs), 1, width=60)
    assert len(lines) == 9 and max(map(len, lines)) <= 60
    assert lines[-2].strip() == "and 34 more" and lines[-1].rstrip().endswith("…")


def settings(**changes):
    made = MockOutputSettings()
    made.__dict__.update({"printshellcmds": False, "quiet": {Quietness.RULES}, "show_failed_logs": False, **changes})
    return made


def printed(capsys, *records, **changes) -> str:
    """What the handler writes of some records where there is no terminal."""
    handler = LogHandler(settings(**changes), None)
    for one in records:
        handler.handle(one)
    handler.close()
    handler.close()
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_messages_and_errors_are_shown_and_jobs_are_not(capsys):
    messages = [
        record(None, "Nothing to be done."),
        record(None, "Select jobs to execute..."),
        record(None, "a warning", level=logging.WARNING),
    ]
    shown = printed(capsys, *run(*messages)).splitlines()
    assert shown[:2] == ["Nothing to be done.", "a warning"]
    assert len(shown) == 3 and shown[2].startswith("1 of 7 jobs done in ")


def test_a_failed_job_is_named_with_the_end_of_its_log(capsys, tmp_path):
    log = tmp_path / ("a folder with a long name " * 5) / "log"
    log.parent.mkdir()
    log.write_text("".join(f"line {i} [0/3]\n" for i in range(50)), encoding="utf-8")
    error = record(
        LogEvent.ERROR, "CalledProcessError in line 7:\nCommand 'a\nb' returned non-zero exit status 1.", level=40
    )
    shown = printed(capsys, *run(failed(2, output=["a.npz", "b.npz"], log=[str(log)]), error)).splitlines()
    assert shown[:2] == ["sample failed: a.npz, b.npz", f"the end of {log}:"]
    assert shown[2:12] == [f"line {i} [0/3]" for i in range(40, 50)]
    assert shown[12:14] == ["CalledProcessError in line 7:", "The command returned non-zero exit status 1."]


@pytest.mark.parametrize("written", [True, False])
def test_a_failed_job_without_messages(capsys, tmp_path, written):
    log = tmp_path / "log"
    if written:
        log.touch()
    assert f"nothing is in {log}" in printed(capsys, *run(failed(2, log=[str(log)])))


def test_what_was_asked_for_first_is_shown_when_it_is_ready(capsys, tmp_path):
    table, picture, data = (tmp_path / name for name in ("table.md", "grid.png", "table.csv"))
    table.write_text("# Table 2\n\n| [a] |\n", encoding="utf-8")
    output = {"output": [str(data), str(table), str(picture)]}
    first = [started(3, "table", 20, priority="highest", **output), finished(3, 95)]
    shown = printed(capsys, *run(*first))
    assert f"{table} is ready after 2 min\n\n# Table 2\n\n| [a] |\n" in shown
    assert f"{picture} is ready after 2 min" in shown and str(data) not in shown
    later = [started(3, "table", 20, priority=0, **output), finished(3, 95)]
    assert "ready" not in printed(capsys, *run(*later))


@pytest.mark.parametrize("changes", [{"dryrun": True, "stdout": True}, {"verbose": True}, {"printshellcmds": True}])
def test_where_more_is_asked_for_snakemake_speaks_for_itself(capsys, changes):
    counts = record(LogEvent.RUN_INFO, "Job stats:\nsample 6", stats={"total": 6})
    done = record(LogEvent.PROGRESS, done=1, total=7)
    expected = [counts, record(None, "Select jobs to execute..."), done]
    formatter = DefaultFormatter({Quietness.RULES})
    assert printed(capsys, *expected, **changes) == "".join(f"{formatter.format(one)}\n" for one in expected)


@pytest.mark.parametrize("kind", [Quietness.ALL, Quietness.PROGRESS])
def test_where_less_is_asked_for_there_is_no_view(capsys, kind):
    assert printed(capsys, *run(), quiet={kind, Quietness.RULES}) == ""


def test_a_line_a_minute_until_it_stops():
    console, drawn = Console(file=io.StringIO()), iter(range(1000))
    screen = PlainScreen(console, lambda: f"[{next(drawn)}]", interval=0.01)
    deadline = time.monotonic() + 10
    while console.file.getvalue().count("\n") < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    screen.stop()
    shown = console.file.getvalue()
    time.sleep(0.05)
    assert console.file.getvalue() == shown and shown.startswith("[0]\n[1]\n[2]\n")
