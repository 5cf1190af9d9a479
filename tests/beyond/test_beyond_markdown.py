import numpy as np
from scipy import stats

from deepcache.beyond.comparison.markdown import beyond_markdown
from deepcache.beyond.comparison.sweeps import EQ7, HOLD, RULE
from deepcache.beyond.comparison.tables import build_beyond_table, build_gains_table
from tests.beyond.swept import ERRORS, decibels, fid_interval, gains_of, make, sweep


def mean(method: tuple[str, str]) -> str:
    """PSNR of a method of tests.beyond.swept, as it is shown."""
    return f"{decibels(ERRORS[method]).mean():.1f}"


def page(tmp_path, macs, *sweeps, goals=None):
    read = make(tmp_path, *sweeps)
    return beyond_markdown(build_beyond_table(read, macs), build_gains_table(read, goals or {}), read, "Title")


def test_verdicts_in_words(tmp_path, macs):
    tenfold = {RULE: [[5, 4], [5, 6], [4, 3]]}  # ten times less than Eq. 7
    worse = {RULE: [[100, 80], [100, 120], [80, 60]]}  # twice as much
    text = page(tmp_path, macs, sweep(5, errors=tenfold), sweep(10, errors=worse), goals={5: 9.5, 10: 7})
    assert "| +9.5 dB reached" in text
    assert "| short of +7 dB by 10.0 dB, worse by 3.0 dB" in text
    assert "- +9.5 dB at N=5: reached at all 1 settings." in text
    assert "- +7 dB at N=10: reached at 0 of the 1 settings; short at a branch 0 N=10 (10.0 dB)." in text
    assert "- No worse than holding: at 1 of the 2 settings; worse at a branch 0 N=10 (-3.0 dB)." in text
    text = page(tmp_path, macs, sweep(5))
    assert "| not worse" in text
    assert "- No worse than holding: at all 1 settings." in text


def row_of(text: str, title: str, *cells: str) -> dict[str, str]:
    """The row of a table under a heading, whose first cells are these, by column."""
    lines = [line for line in text.split(f"{title}\n")[1].split("\n## ")[0].splitlines() if line.startswith("|")]
    names, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    (row,) = (row for row in rows if tuple(row[: len(cells)]) == cells)
    return dict(zip(names, row, strict=True))


def test_cells_of_the_gains(tmp_path, macs):
    row = row_of(page(tmp_path, macs, sweep(5)), "# Title", "a", "0", "5")
    gains = gains_of(tmp_path, sweep(5)).iloc[0]
    wanted = {"model": "a", "branch": "0", "N": "5", "full steps": "2", "hold": mean(HOLD), "Eq. 7": mean(EQ7)}
    wanted |= {"the rule": mean(RULE), "p10": f"{decibels([70, 5]).mean():.1f}", "picked": "optimised, forecast1"}
    wanted |= {"gain": f"{gains.gain_db:.1f} [{gains.gain_low:.1f}, {gains.gain_high:.1f}]"}
    wanted |= {"gain of p10": f"{decibels([70, 5]).mean() - decibels([60, 50]).mean():.1f}", "worst image": "-0.7"}
    assert row == {**wanted, "images worse": "1", "verdict": "not worse"}


def scored(model: str, fid: float, redrawn: list[float], clip: list[float]) -> dict:
    """A sweep at N=2, where the rule stands beside no caching: its changes of FID, redrawn, and of each CLIP score."""
    one = sweep(2, model)
    uncached, rule = one["methods"][0], one["methods"][4]
    uncached |= {"fid": 20.0, "fid_redrawn": [20.0, 21.0, 20.5], "clip_score": [[30.0, 31.0]] * 3}
    rule |= {"fid": 20 + fid, "fid_redrawn": [x + y for x, y in zip(uncached["fid_redrawn"], redrawn, strict=True)]}
    rule["clip_score"] = [[30 + clip[2 * seed], 31 + clip[2 * seed + 1]] for seed in range(3)]
    return one


CLEAR = {"fid": 1.0, "redrawn": [1.0, 1.1, 1.2], "clip": [-0.4, -0.5, -0.6, -0.4, -0.5, -0.6]}
UNCLEAR = {"fid": 1.0, "redrawn": [0.0, 1.0, 2.0], "clip": [-2.0, 1.5, -2.0, 1.0, -1.0, 1.0]}
BETTER = {"fid": -1.0, "redrawn": [-1.0, -1.1, -1.2], "clip": [0.4, 0.5, 0.6, 0.4, 0.5, 0.6]}


def ends(change: dict) -> tuple[tuple[str, str], tuple[str, str]]:
    """Low and high of the changes of FID and CLIP score, as they are shown."""
    test = stats.ttest_1samp(change["clip"], 0).confidence_interval()
    fid = fid_interval(change["fid"], change["redrawn"])[1:]
    return tuple(tuple(f"{end:.2g}" for end in pair) for pair in (fid, (test.low, test.high)))


def verdicts_of_scores(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("- FID", "- CLIP score"))]


def test_scores_are_called_worse_where_their_whole_interval_is(tmp_path, macs):
    text = page(tmp_path, macs, scored("a", **CLEAR), scored("b", **BETTER))
    (fid_low, fid_high), (clip_low, clip_high) = ends(CLEAR)
    at = "not worse than holding at half the interval: at 1 of the 2 settings; worse at a branch 0 N=2"
    furthest = "The interval that reaches furthest to the worse:"
    assert verdicts_of_scores(text) == [
        f"- FID {at} ({fid_low} to {fid_high}). {furthest} +{fid_high}.",
        f"- CLIP score {at} ({clip_low} to {clip_high}). {furthest} {clip_low}.",
    ]
    row = row_of(text, "## FID and CLIP score", "a", "0", "2")
    assert (row["FID, change"], row["CLIP score, change"]) == (
        f"1 [{fid_low}, {fid_high}]",
        f"-0.5 [{clip_low}, {clip_high}]",
    )


def test_scores_whose_interval_includes_0_are_not_called_worse(tmp_path, macs):
    (fid_low, fid_high), (clip_low, clip_high) = ends(UNCLEAR)
    assert float(fid_low) < 0 < float(fid_high) and float(clip_low) < np.mean(UNCLEAR["clip"]) < 0 < float(clip_high)
    said = "not worse than holding at half the interval: at all 2 settings."
    furthest = "The interval that reaches furthest to the worse:"
    assert verdicts_of_scores(page(tmp_path, macs, scored("a", **BETTER), scored("b", **UNCLEAR))) == [
        f"- FID {said} {furthest} +{fid_high}.",
        f"- CLIP score {said} {furthest} {clip_low}.",
    ]


def test_scores_that_are_better_throughout_say_how_near_they_come(tmp_path, macs):
    (_, fid_high), (clip_low, _) = ends(BETTER)
    assert float(fid_high) < 0 < float(clip_low)
    lines = verdicts_of_scores(page(tmp_path, macs, scored("a", **BETTER)))
    assert [line.rpartition(": ")[2] for line in lines] == [f"{fid_high}.", f"+{clip_low}."]


def test_no_verdict_without_what_stands_for_half(tmp_path, macs):
    text = page(tmp_path, macs, sweep(5))
    assert verdicts_of_scores(text) == []
    row = row_of(text, "## FID and CLIP score", "a", "0", "5")
    assert row["FID, rule"] == "14" and {row[name] for name in row if "half" in name or "change" in name} == {""}


def test_a_rule_without_error_in_words(tmp_path, macs):
    text = page(tmp_path, macs, sweep(errors={RULE: [[0, 0]] * 3}), goals={5: 12})
    assert "| inf " in text and "| +12 dB reached" in text and "**no error**" in text


def test_an_unclear_gain_is_called_so(tmp_path, macs):
    text = page(tmp_path, macs, sweep(errors={RULE: [[30, 20], [60, 60], [40, 30]]}))
    assert "The interval of the gain includes 0 at a branch 0 N=5." in text


def test_best_at_equal_cost_is_bold(tmp_path, macs):
    dearer = sweep(5, errors={("online", "hold"): [[1, 1]] * 3})
    dearer["methods"][3]["full_steps"] = [[0, 1, 2]]
    text = page(tmp_path, macs, dearer, sweep(10))
    lines = {line.split("|")[1].strip(): line for line in text.split("## a, branch 0")[1].splitlines() if "|" in line}
    assert [cell.strip() for cell in lines["online, hold"].split("|")[2:4]] == ["48.1 †", mean(("online", "hold"))]
    assert [cell.strip() for cell in lines["chosen, chosen"].split("|")[2:4]] == [f"**{mean(RULE)}**"] * 2
    assert [cell.strip() for cell in lines["MACs of a step, G"].split("|")[2:4]] == ["2.8", "1.9"]
    assert "full, hold" not in lines


def test_the_best_is_that_with_the_largest_mean_of_decibels(tmp_path, macs):
    errors = {EQ7: [[10, 100]] * 3, HOLD: [[40, 40]] * 3, RULE: [[45, 45]] * 3, ("online", "hold"): [[50, 50]] * 3}
    text = page(tmp_path, macs, sweep(errors=errors))
    (bold,) = (line for line in text.splitlines() if "**" in line)
    assert [cell.strip() for cell in bold.split("|")[1:3]] == ["eq7, hold", "**33.1**"]


def test_random_weights_are_called_so(tmp_path, macs):
    assert "The weights are random" in page(tmp_path, macs, sweep(weights="random"))
    assert "The weights are random" not in page(tmp_path, macs, sweep(weights="train"))
