"""Result files, which one job writes and another reads, that are damaged or something else."""

from pathlib import Path

import pytest

OUT, PICTURE = ("--output", "out/o.csv"), ("--output", "out/o.png")
READERS = {
    "collect_run": ("collect_run.py", "--shards", "bad", "--images", 2, *OUT),
    "metrics": ("metrics.py", "--run", "bad", "--reference", "r", "--extractor", "x", "--weights", "w", *OUT),
    "clip_score": ("clip_score.py", "--run", "bad", "--prompts", "p.txt", "--weights", "w", *OUT),
    "diversity_table": ("diversity_table.py", "--diversity", "bad", *OUT),
    "diversity_figure": ("diversity_figure.py", "--diversity", "bad", *PICTURE),
    "screening": ("screening.py", "--scores", "bad", "--by", "fid", "--images", 2, "--keep", 1, *OUT),
    "fig2": ("fig2.py", "--recorded", "bad", *PICTURE),
    "times": ("sample_grid.py", "--shards", "s", "--labels", "a", "--timing", "bad", "--variants", "v", *PICTURE),
    "samples": ("sample_grid.py", "--shards", "bad", "--labels", "a", *PICTURE),
    "time_models": ("time_models.py", "--checkpoints", "m=bad", "--variants", "m/ddim-10/full", *OUT),
    "latency_table": ("latency_table.py", "--measured", "bad", *OUT),
    "beyond_table": ("beyond/beyond_table.py", "--sweeps", "bad", "--macs", "m=bad", *OUT),
    "pareto": ("beyond/pareto.py", "--sweeps", "bad", "--macs", "m=bad", *PICTURE),
    "forecast_figure": ("beyond/forecast_figure.py", "--recorded", "l=bad", "--plans", "l=bad", *PICTURE),
    "report_pages": (
        *(
            "report_pages.py",
            "--suite",
            "bad",
            "--results",
            "r",
            "--tables",
            "t=bad",
            "--macs",
            "m",
            "--diversity",
            "d",
        ),
        *("--output", "out"),
    ),
}
CONTENTS = {
    "cut off": b'{"variants": {',
    "a list": b"[1, 2]",
    "an object without anything": b"{}",
    "a text": b'"x"',
    "no text": b"\x00\xff\xfe",
    "a cut archive": b"PK\x03\x04junk",
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("content", [*CONTENTS, "a folder", "nothing"])
def test_refused(reader, content, refusal):
    if content == "a folder":
        Path("bad").mkdir()
    elif content != "nothing":
        Path("bad").write_bytes(CONTENTS[content])
    Path("p.txt").write_text("a\n", encoding="utf-8")
    assert "bad" in refusal(*READERS[reader])


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff", b"speed\n1\n", b'speed,error\n"1,2\n3', b"speed,error\n1,2,3\n4,5,6,7\n"]
)
def test_a_table_that_is_none(content, refusal):
    Path("t.csv").write_bytes(content)
    layout = (
        '{"title": "A", "panels": [{"title": "B", "table": "t"}], "x": {"column": "speed", "label": "x"},'
        ' "y": {"label": "y"}, "series": [{"label": "l", "y": "error"}]}'
    )
    assert refusal("curves.py", "--tables", "t.csv", "--layout", layout, "--output", "c.png").startswith("t.csv: ")
