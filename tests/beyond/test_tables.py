import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from deepcache import DeepCacheError
from deepcache.beyond.comparison.markdown import beyond_markdown
from deepcache.beyond.comparison.sweeps import read_peers, read_sweeps
from deepcache.beyond.comparison.tables import build_beyond_table, build_gains_table, half

ROOT = Path(__file__).resolve().parents[2]
PEAK = 255.0**2
# Squared error of three seeds with two images each.
ERRORS = {
    ("full", "hold"): [[0, 0], [0, 0], [0, 0]],
    ("uniform", "hold"): [[60, 40], [50, 70], [40, 40]],
    ("eq7", "hold"): [[50, 40], [50, 60], [40, 30]],
    ("online", "hold"): [[60, 40], [50, 70], [40, 40]],
    ("chosen", "chosen"): [[5, 3], [4, 70], [2, 2]],
}


def sweep(interval=5, model="a", branch=0, errors=None, **changes) -> dict:
    """A sweep of ten steps; FID is 10 plus the method's place, less 1 for each N below 5."""
    full = list(range(0, 10, interval))
    methods = []
    for place, (method, squared) in enumerate({**ERRORS, **(errors or {})}.items()):
        one = {"schedule": method[0], "reuse": method[1], "full_steps": [full], "squared_error": squared}
        one |= {"fid": 10.0 + place - (5 - interval), "clip_score": [[30.0 + place, 31.0]] * 3}
        methods.append(one)
    methods[0]["full_steps"] = [list(range(10))]
    methods[3]["full_steps"] = [full, [0]]
    methods[4] |= {"picked_schedule": "optimised", "picked_reuse": "forecast1"}
    found = {"model": model, "sampler": "ddim-10", "steps": 10, "schedule_length": 10, "branch": branch}
    found |= {"interval": interval, "seeds": [3, 4, 5], "images": 2, "methods": methods, "device": "A CPU"}
    return {**found, **changes}


def write(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture
def macs(tmp_path) -> dict[str, Path]:
    counted = {"full_g": 10.0, "shallow_g": {"0": 1.0, "2": 4.0}}
    return {"a": write(tmp_path / "macs/a.json", counted), "b": write(tmp_path / "macs/b.json", counted)}


def make(tmp_path: Path, *sweeps: dict) -> list:
    names = [write(tmp_path / one["model"] / f"b{one['branch']}-n{one['interval']}.json", one) for one in sweeps]
    return read_sweeps(names)


def gains_of(tmp_path: Path, *sweeps: dict, goals=None) -> pd.DataFrame:
    return build_gains_table(make(tmp_path, *sweeps), goals or {})


def test_every_method_in_order_with_macs_and_psnr(tmp_path, macs):
    sweeps = make(tmp_path, sweep(10), sweep(5, "b"), sweep(5, branch=2), sweep(5))
    table = build_beyond_table(sweeps, macs)
    wanted = "model,branch,interval,schedule,reuse,macs_g,psnr_db,psnr_low,psnr_high,fid,clip_score"
    assert list(table.columns) == wanted.split(",")
    places = list(dict.fromkeys(zip(table["model"], table["branch"], table["interval"], strict=True)))
    assert places == [("a", 0, 5), ("a", 0, 10), ("a", 2, 5), ("b", 0, 5)]
    first = table.iloc[:5].set_index(["schedule", "reuse"])
    assert list(first.index) == list(ERRORS)
    assert first.loc[("full", "hold"), "macs_g"] == 10
    assert first.loc[("uniform", "hold"), "macs_g"] == pytest.approx((2 * 10 + 8 * 1) / 10)
    assert first.loc[("online", "hold"), "macs_g"] == pytest.approx((28 + 19) / 10 / 2), "averaged over its batches"
    assert table[table["branch"] == 2].iloc[1]["macs_g"] == pytest.approx((2 * 10 + 8 * 4) / 10)
    hold = first.loc[("uniform", "hold")]
    assert hold["psnr_db"] == pytest.approx(10 * math.log10(PEAK / 50))  # the mean of 60, 40, 50, 70, 40, 40
    assert 10 * math.log10(PEAK / 70) < hold["psnr_low"] < hold["psnr_db"] < hold["psnr_high"]
    assert hold["psnr_high"] < 10 * math.log10(PEAK / 40)
    assert first.loc[("full", "hold"), ["psnr_db", "psnr_low", "psnr_high"]].isna().all(), "no error, no number"
    assert first.loc[("chosen", "chosen"), ["fid", "clip_score"]].tolist() == [14, 32.5]


def test_a_call_beyond_the_schedule_does_not_count(tmp_path, macs):
    one = sweep()
    one["methods"][0]["full_steps"] = [list(range(11))]  # as PLMS, which repeats one
    one["methods"][1]["full_steps"] = [[0, 10]]
    table = build_beyond_table(make(tmp_path, one), macs)
    assert table["macs_g"].tolist()[:2] == pytest.approx([10, 2.8])


def test_calls_beyond_the_steps_count_over_the_steps(tmp_path, macs):
    table = build_beyond_table(make(tmp_path, sweep(schedule_length=20)), macs)
    assert table["macs_g"][1] == pytest.approx((2 * 10 + 18 * 1) / 10)


def test_gain_is_the_paired_t_interval_over_the_better(tmp_path):
    row = gains_of(tmp_path, sweep(), goals={5: 9}).iloc[0]
    means = {method: np.mean(ERRORS[method], axis=1) for method in (("eq7", "hold"), ("chosen", "chosen"))}
    differences = 10 * np.log10(means["eq7", "hold"] / means["chosen", "chosen"])  # Eq. 7 errs less than uniform
    margin = stats.t.ppf(0.975, 2) * differences.std(ddof=1) / math.sqrt(3)
    assert row["gain_db"] == pytest.approx(differences.mean())
    assert row["gain_low"] == pytest.approx(differences.mean() - margin)
    assert row["gain_high"] == pytest.approx(differences.mean() + margin)
    assert stats.ttest_1samp(differences, 0).confidence_interval(0.95).low == pytest.approx(row["gain_low"])
    assert row["worst_image_gain_db"] == pytest.approx(10 * math.log10(60 / 70))
    assert (row["images_worse"], row["full_steps"]) == (1, 2)
    assert row["hold_psnr_db"] == pytest.approx(10 * math.log10(PEAK / 50))
    assert row["eq7_psnr_db"] == pytest.approx(10 * math.log10(PEAK / 45))
    assert row["psnr_db"] == pytest.approx(10 * math.log10(PEAK * 6 / 86))
    assert (row["picked_schedule"], row["picked_reuse"]) == ("optimised", "forecast1")
    assert (row["goal_db"], row["reached"]) == (9, differences.mean() >= 9)
    assert (row["fid_hold"], row["fid_rule"]) == (11, 14)
    assert (row["clip_hold"], row["clip_rule"]) == (31, 32.5)


def test_columns_of_the_gains(tmp_path):
    wanted = (
        "model,branch,interval,full_steps,hold_psnr_db,eq7_psnr_db,picked_schedule,picked_reuse,psnr_db,gain_db,"
        "gain_low,gain_high,worst_image_gain_db,images_worse,fid_hold,fid_rule,fid_hold_half,clip_hold,clip_rule,"
        "clip_hold_half,goal_db,reached"
    )
    assert ",".join(gains_of(tmp_path, sweep()).columns) == wanted


def test_uniform_holding_counts_where_it_is_the_better(tmp_path):
    worse = {("eq7", "hold"): [[90, 90]] * 3, ("chosen", "chosen"): [[6, 4], [5, 7], [4, 4]]}
    row = gains_of(tmp_path, sweep(errors=worse)).iloc[0]
    assert (row["gain_db"], row["gain_low"], row["gain_high"]) == pytest.approx((10, 10, 10))
    assert row["images_worse"] == 0
    assert pd.isna(row["goal_db"]) and pd.isna(row["reached"])


@pytest.mark.parametrize(
    ("interval", "other"), [(2, 1), (3, 2), (4, 2), (5, 3), (6, 3), (10, 5), (20, 10), (40, 20), (50, None)]
)
def test_half_an_interval(interval, other):
    assert half(interval, [2, 3, 5, 10, 20, 50]) == other


def test_scores_at_half_the_interval(tmp_path):
    gains = gains_of(tmp_path, sweep(10), sweep(5), sweep(2), sweep(3, branch=2), sweep(2, "b"))
    found = {(row.model, row.branch, row.interval): row.fid_hold_half for row in gains.itertuples()}
    assert found["a", 0, 10] == 11, "holding at N=5"
    assert found["a", 0, 2] == found["b", 0, 2] == 7, "without caching, of the same file"
    assert math.isnan(found["a", 0, 5]), "neither 3 nor 4 was sampled"
    assert math.isnan(found["a", 2, 3]), "that of another branch does not count"


def test_images_without_error(tmp_path):
    perfect = gains_of(tmp_path, sweep(errors={("chosen", "chosen"): [[0, 0]] * 3}), goals={5: 12}).iloc[0]
    assert perfect["gain_db"] == math.inf and perfect["reached"]
    assert perfect[["psnr_db", "gain_low", "gain_high"]].isna().all()
    one_seed = gains_of(tmp_path, sweep(errors={("chosen", "chosen"): [[0, 0], [4, 5], [9, 9]]})).iloc[0]
    assert one_seed["gain_db"] == pytest.approx(10 * math.log10(270 / 27)), "over all images"
    assert pd.isna(one_seed["gain_low"])
    none = {method: [[0, 0]] * 3 for method in ERRORS}
    nothing = gains_of(tmp_path, sweep(errors=none)).iloc[0]
    assert (nothing["gain_db"], nothing["worst_image_gain_db"], nothing["images_worse"]) == (0, 0, 0)


def drop(method: tuple[str, str]) -> dict:
    return {"methods": [one for one in sweep()["methods"] if (one["schedule"], one["reuse"]) != method]}


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (sweep(**drop(("uniform", "hold"))), "lacks the method uniform, hold"),
        (sweep(**drop(("chosen", "chosen"))), "lacks the method chosen, chosen"),
        (sweep(images=3), "full, hold: squared_error is not of 3 seeds with 3 images each"),
        (sweep(seeds=[0, 1]), "full, hold: squared_error is not of 2 seeds with 2 images each"),
        (sweep(methods=sweep()["methods"] * 2), "has a method twice"),
        ({"model": "a"}, "has no branch, interval, methods, sampler"),
        ("{", "not a readable sweep"),
        ([], "has no model"),
        (
            sweep(seeds=[3], errors={method: [[1, 2]] for method in ERRORS}, images=2),
            "full, hold: clip_score is not of 1 seeds",
        ),
    ],
)
def test_broken_sweeps_are_refused_by_name(tmp_path, broken, message):
    path = write(tmp_path / "b0-n5.json", broken)
    with pytest.raises(DeepCacheError, match=message) as caught:
        read_sweeps([path])
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_one_file_for_each_place(tmp_path):
    paths = [write(tmp_path / name, sweep()) for name in ("one.json", "two.json")]
    with pytest.raises(DeepCacheError, match=r"two\.json: has the same model, branch and interval as .*one\.json"):
        read_sweeps(paths)


def test_too_few_seeds_are_refused(tmp_path):
    one = sweep(seeds=[3, 4], errors={method: [[1, 2]] * 2 for method in ERRORS})
    for method in one["methods"]:
        method["clip_score"] = None
    with pytest.raises(DeepCacheError, match=r"b0-n5\.json: gains need at least 3 seeds, not 2"):
        make(tmp_path, one)


@pytest.mark.parametrize(
    ("changes", "what"),
    [({"seeds": [3, 4, 6]}, "seeds"), ({"sampler": "ddim-20"}, "sampler"), ({"images": 1}, "images")],
)
def test_sweeps_of_a_model_have_equal_samples(tmp_path, changes, what):
    errors = {method: [one[: changes.get("images", 2)] for one in rows] for method, rows in ERRORS.items()}
    other = sweep(10, errors=errors, **changes)
    for method in other["methods"]:
        method["clip_score"] = None
    with pytest.raises(DeepCacheError, match=rf"b0-n10\.json: has another {what} than .*b0-n5\.json"):
        make(tmp_path, sweep(5), other)


def test_models_may_differ_in_their_samples(tmp_path):
    assert len(make(tmp_path, sweep(5), sweep(5, "b", seeds=[7, 8, 9]))) == 2


def test_missing_macs_are_named(tmp_path, macs):
    sweeps = make(tmp_path, sweep(branch=1))
    with pytest.raises(DeepCacheError, match=r"macs/a\.json: no MACs of a, branch 1, which .*b1-n5\.json needs"):
        build_beyond_table(sweeps, macs)
    with pytest.raises(DeepCacheError, match="--macs: no MACs of a"):
        build_beyond_table(sweeps, {})
    with pytest.raises(DeepCacheError, match=r"a\.json: not readable MACs"):
        build_beyond_table(sweeps, {"a": write(tmp_path / "a.json", "{")})


def peer(**changes) -> dict:
    one = {"label": "DDIM, 3 steps", "group": "DDIM with fewer steps", "interval": 5, "macs_g": 3.0}
    one |= {"seconds_per_image": 0.25, "squared_error": [[65.025] * 2] * 3, "fid": 12.5, "clip_score": None}
    return {"model": "a", "seeds": [3, 4, 5], "images": 2, "peers": [{**one, **changes}]}


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({**peer(), "seeds": [0, 1, 2]}, "another seeds than"),
        ({**peer(), "model": "b"}, "no sweep of its model b"),
        (peer(squared_error=[[1, 2]]), "squared_error is not of 3 seeds with 2 images each"),
        ({"model": "a"}, "not readable peers"),
    ],
)
def test_peers_have_the_same_samples(tmp_path, broken, message):
    path = write(tmp_path / "peers.json", broken)
    with pytest.raises(DeepCacheError, match=message) as caught:
        read_peers(path, make(tmp_path, sweep()))
    assert str(caught.value).startswith(str(path))


def page(tmp_path, macs, *sweeps, goals=None, peers=()):
    read = make(tmp_path, *sweeps)
    return beyond_markdown(build_beyond_table(read, macs), build_gains_table(read, goals or {}), read, peers, "Title")


def test_verdicts_in_words(tmp_path, macs):
    tenfold = {("chosen", "chosen"): [[5, 4], [5, 6], [4, 3]]}  # ten times less than Eq. 7
    worse = {("chosen", "chosen"): [[100, 80], [100, 120], [80, 60]]}  # twice as much
    text = page(tmp_path, macs, sweep(5, errors=tenfold), sweep(10, errors=worse), goals={5: 10, 10: 7})
    assert "| +10 dB reached" in text
    assert "| short of +7 dB by 10.0 dB, worse by 3.0 dB" in text
    assert "- +10 dB at N=5: reached at all 1 settings." in text
    assert "- +7 dB at N=10: reached at 0 of the 1 settings; short at a branch 0 N=10 (10.0 dB)." in text
    assert "- No worse than holding: at 1 of the 2 settings; worse at a branch 0 N=10 (-3.0 dB)." in text
    assert (
        "FID no worse than holding at half the interval: at 0 of the 1 settings; worse at a branch 0 N=10 (19" in text
    )
    assert "CLIP score no worse than holding at half the interval: at all 1 settings." in text
    text = page(tmp_path, macs, sweep(5))
    assert "| not worse" in text
    assert "- No worse than holding: at all 1 settings." in text


def test_a_rule_without_error_in_words(tmp_path, macs):
    text = page(tmp_path, macs, sweep(errors={("chosen", "chosen"): [[0, 0]] * 3}), goals={5: 12})
    assert "| inf " in text and "| +12 dB reached" in text and "**no error**" in text


def test_an_unclear_gain_is_called_so(tmp_path, macs):
    text = page(tmp_path, macs, sweep(errors={("chosen", "chosen"): [[30, 20], [60, 60], [40, 30]]}))
    assert "The interval of the gain includes 0 at a branch 0 N=5." in text


def test_best_at_equal_cost_is_bold(tmp_path, macs):
    dearer = sweep(5, errors={("online", "hold"): [[1, 1]] * 3})
    dearer["methods"][3]["full_steps"] = [[0, 1, 2]]
    text = page(tmp_path, macs, dearer, sweep(10))
    lines = {line.split("|")[1].strip(): line for line in text.split("## a, branch 0")[1].splitlines() if "|" in line}
    assert [cell.strip() for cell in lines["online, hold"].split("|")[2:4]] == ["48.1 †", "31.1"]
    assert [cell.strip() for cell in lines["chosen, chosen"].split("|")[2:4]] == ["**36.6**", "**36.6**"]
    assert [cell.strip() for cell in lines["MACs of a step, G"].split("|")[2:4]] == ["2.8", "1.9"]
    assert "full, hold" not in lines


def test_peers_stand_beside_holding_and_the_rule(tmp_path, macs):
    sweeps = make(tmp_path, sweep(5))
    text = page(tmp_path, macs, sweep(5), peers=[read_peers(write(tmp_path / "peers.json", peer()), sweeps)])
    (line,) = (line for line in text.splitlines() if "DDIM, 3 steps" in line)
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells == ["a", "DDIM, 3 steps", "0.25", "30.0", "5", "31.1", "36.6", "12.5", ""]
    assert "Peers" not in page(tmp_path, macs, sweep(5))


def test_random_weights_are_called_so(tmp_path, macs):
    assert "The weights are random" in page(tmp_path, macs, sweep(weights="random"))
    assert "The weights are random" not in page(tmp_path, macs, sweep(weights="train"))


def run(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "workflow/scripts/beyond/beyond_table.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_the_program_writes_the_same_bytes_twice(tmp_path, macs):
    sweeps = [one.path for one in make(tmp_path, sweep(5), sweep(10))]
    found = []
    for name in ("one", "two"):
        output = tmp_path / name / "beyond.csv"
        done = run("--sweeps", *sweeps, "--macs", f"a={macs['a']}", "--goals", "5=12", "10=7", "--output", output)
        assert done.returncode == 0, done.stderr
        found.append({path.name: path.read_bytes() for path in output.parent.iterdir()})
    assert found[0] == found[1]
    assert set(found[0]) == {"beyond.csv", "beyond_gains.csv", "beyond.md"}
    gains = pd.read_csv(tmp_path / "one/beyond_gains.csv")
    assert gains["goal_db"].tolist() == [12, 7]
    assert gains["reached"].tolist() == [False, True]
    assert pd.read_csv(tmp_path / "one/beyond.csv", dtype=str)["psnr_db"].isna().tolist()[:2] == [True, False]


def test_the_program_refuses_what_are_no_pairs(tmp_path):
    path = write(tmp_path / "b0-n5.json", sweep())
    done = run("--sweeps", path, "--macs", "a=x", "--goals", "5:12", "--output", tmp_path / "beyond.csv")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr == "error: --goals 5:12: write NAME=VALUE\n"
    assert not (tmp_path / "beyond.csv").exists()
