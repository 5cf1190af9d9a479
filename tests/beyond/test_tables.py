import math
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from deepcache import DeepCacheError
from deepcache.beyond.comparison.sweeps import EQ7, RULE
from deepcache.beyond.comparison.tables import build_beyond_table, build_gains_table, half
from tests.beyond.swept import ERRORS, PEAK, decibels, fid_interval, gains_of, make, sweep, write


def test_every_method_in_order_with_macs_and_psnr(tmp_path, macs):
    sweeps = make(tmp_path, sweep(10), sweep(5, "b"), sweep(5, branch=2), sweep(5))
    table = build_beyond_table(sweeps, macs)
    wanted = "model,branch,interval,schedule,reuse,macs_g,psnr_db,psnr_low,psnr_high,psnr_mean_db,psnr_p10_db,"
    wanted += "fid,clip_score"
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
    assert hold["psnr_db"] == pytest.approx(10 * math.log10(PEAK / 51.5))  # the mean of 60, 40, 50, 70, 40, 40, and 1.5
    assert 10 * math.log10(PEAK / 71.5) < hold["psnr_low"] < hold["psnr_db"] < hold["psnr_high"]
    assert hold["psnr_high"] < 10 * math.log10(PEAK / 41.5)
    numbers = [name for name in table if name.startswith("psnr")]
    assert len(numbers) == 5 and first.loc[("full", "hold"), numbers].isna().all(), "no error, no number"
    assert first.loc[("chosen", "chosen"), ["fid", "clip_score"]].tolist() == [14, 32.5]


def test_mean_and_10th_percentile_are_of_each_image_before_rounding(tmp_path, macs):
    table = build_beyond_table(make(tmp_path, sweep()), macs).set_index(["schedule", "reuse"])
    for method, errors in list(ERRORS.items())[1:]:
        by_image = decibels(errors).ravel()
        assert table.loc[method, "psnr_mean_db"] == pytest.approx(np.mean(by_image))
        assert table.loc[method, "psnr_p10_db"] == pytest.approx(np.percentile(by_image, 10))
        assert np.percentile(by_image, 10) == pytest.approx(np.sort(by_image)[:2].mean()), "of six images"


def test_rounded_and_unrounded_errors_are_kept_apart(tmp_path, macs):
    """Where rounding hides the rule's error, and where it adds to it."""
    own, hidden, added = sweep(), sweep(), sweep()
    hidden["methods"][4]["squared_error"] = [[0, 0]] * 3
    added["methods"][4]["squared_error"] = [[100, 80], [90, 90], [90, 90]]
    table, without, more = (build_beyond_table(make(tmp_path, one), macs) for one in (own, hidden, added))
    of_rounded = ["psnr_db", "psnr_low", "psnr_high"]
    assert without.loc[4, of_rounded].isna().all()
    assert more.loc[4, "psnr_db"] == pytest.approx(10 * math.log10(PEAK / 90))
    for other in (without, more):
        pd.testing.assert_frame_equal(other.drop(columns=of_rounded), table.drop(columns=of_rounded))
    gains = [gains_of(tmp_path, one) for one in (own, hidden, added)]
    pd.testing.assert_frame_equal(gains[1], gains[0])
    pd.testing.assert_frame_equal(gains[2], gains[0])
    own["methods"][4]["squared_error_unrounded"] = [[1, 2], [3, 4], [5, 6]]
    changed = build_beyond_table(make(tmp_path, own), macs)
    pd.testing.assert_frame_equal(changed[of_rounded], table[of_rounded])
    assert changed["psnr_mean_db"][4] == pytest.approx(decibels(range(1, 7)).mean())
    assert gains_of(tmp_path, own)["psnr_mean_db"][0] == pytest.approx(decibels(range(1, 7)).mean())


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
    hold, eq7, rule = (decibels(ERRORS[method]) for method in list(ERRORS)[1:] if method[0] != "online")
    differences = (rule - eq7).mean(1)  # Eq. 7 has the larger mean
    margin = stats.t.ppf(0.975, 2) * differences.std(ddof=1) / math.sqrt(3)
    assert row["gain_db"] == pytest.approx(differences.mean()) == pytest.approx(rule.mean() - eq7.mean())
    assert row["gain_low"] == pytest.approx(differences.mean() - margin)
    assert row["gain_high"] == pytest.approx(differences.mean() + margin)
    assert stats.ttest_1samp(differences, 0).confidence_interval(0.95).low == pytest.approx(row["gain_low"])
    assert row["worst_image_gain_db"] == pytest.approx(10 * math.log10(60 / 70))
    assert (row["images_worse"], row["full_steps"]) == (1, 2)
    assert row["hold_psnr_mean_db"] == pytest.approx(hold.mean())
    assert row["eq7_psnr_mean_db"] == pytest.approx(eq7.mean())
    assert row["psnr_mean_db"] == pytest.approx(rule.mean())
    assert row["psnr_median_db"] == pytest.approx(decibels([3, 4]).mean())
    assert row["psnr_p10_db"] == pytest.approx(decibels([70, 5]).mean())
    assert row["p10_gain_db"] == pytest.approx(decibels([70, 5]).mean() - decibels([60, 50]).mean())
    assert (row["picked_schedule"], row["picked_reuse"]) == ("optimised", "forecast1")
    assert (row["goal_db"], row["reached"]) == (9, differences.mean() >= 9)
    assert (row["fid_hold"], row["fid_rule"]) == (11, 14)
    assert (row["clip_hold"], row["clip_rule"]) == (31, 32.5)


def test_columns_of_the_gains(tmp_path):
    wanted = (
        "model,branch,interval,full_steps,hold_psnr_mean_db,eq7_psnr_mean_db,picked_schedule,picked_reuse,"
        "psnr_mean_db,psnr_median_db,psnr_p10_db,gain_db,gain_low,gain_high,p10_gain_db,worst_image_gain_db,"
        "images_worse,fid_hold,fid_rule,fid_hold_half,clip_hold,clip_rule,clip_hold_half,fid_change,fid_change_low,"
        "fid_change_high,clip_change,clip_change_low,clip_change_high,goal_db,reached"
    )
    assert ",".join(gains_of(tmp_path, sweep()).columns) == wanted


def test_uniform_holding_counts_where_it_is_the_better(tmp_path):
    worse = {("eq7", "hold"): [[90, 90]] * 3, ("chosen", "chosen"): [[6, 4], [5, 7], [4, 4]]}
    row = gains_of(tmp_path, sweep(errors=worse)).iloc[0]
    assert (row["gain_db"], row["gain_low"], row["gain_high"]) == pytest.approx((10, 10, 10))
    assert (row["p10_gain_db"], row["worst_image_gain_db"]) == pytest.approx((10, 10))
    assert row["images_worse"] == 0
    assert pd.isna(row["goal_db"]) and pd.isna(row["reached"])


def test_the_better_has_the_larger_mean_of_decibels_not_the_smaller_mean_error(tmp_path):
    errors = {("uniform", "hold"): [[40, 40]] * 3, EQ7: [[10, 100]] * 3, RULE: [[10, 10]] * 3}
    row = gains_of(tmp_path, sweep(errors=errors)).iloc[0]
    assert row["gain_db"] == pytest.approx(5)
    assert (row["p10_gain_db"], row["worst_image_gain_db"]) == pytest.approx((10, 0))
    assert row["images_worse"] == 0


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


def test_changes_of_scores_are_to_half_the_interval(tmp_path):
    """The redrawn FID of a method moves with its place, see tests.beyond.swept.sweep."""
    gains = gains_of(tmp_path, sweep(10), sweep(5), sweep(2)).set_index("interval")
    fid, clip = (gains[[f"{one}_change", f"{one}_change_low", f"{one}_change_high"]] for one in ("fid", "clip"))
    shifts = np.array([-0.1, 0.2, 0, 0.3])
    assert tuple(fid.loc[10]) == pytest.approx(fid_interval(19 - 11, 8 + (4 - 1) * shifts)), "to holding at N=5"
    assert tuple(fid.loc[2]) == pytest.approx(fid_interval(11 - 7, 4 + 4 * shifts)), "to no caching"
    for interval, other in ((10, 31), (2, 30)):
        test = stats.ttest_rel([34, 31] * 3, [other, 31] * 3).confidence_interval()
        assert tuple(clip.loc[interval]) == pytest.approx(((34 - other) / 2, test.low, test.high))
    assert fid.loc[5].isna().all() and clip.loc[5].isna().all(), "neither 3 nor 4 was sampled"


def test_images_without_error(tmp_path):
    perfect = gains_of(tmp_path, sweep(errors={RULE: [[0, 0]] * 3}), goals={5: 12}).iloc[0]
    assert perfect["gain_db"] == math.inf and perfect["reached"]
    assert perfect[["psnr_mean_db", "psnr_median_db", "psnr_p10_db", "gain_low", "gain_high"]].isna().all()
    one_seed = gains_of(tmp_path, sweep(errors={RULE: [[0, 0], [4, 5], [9, 9]]})).iloc[0]
    assert one_seed["gain_db"] == math.inf
    assert one_seed[["psnr_mean_db", "gain_low", "gain_high"]].isna().all()
    assert one_seed["psnr_median_db"] == pytest.approx(decibels([4, 5]).mean())
    assert one_seed["psnr_p10_db"] == pytest.approx(decibels([9, 9]).mean())
    assert one_seed["worst_image_gain_db"] == pytest.approx(10 * math.log10(30 / 9))
    beaten = gains_of(tmp_path, sweep(errors={EQ7: [[0, 0]] * 3}), goals={5: 12}).iloc[0]
    assert (beaten["gain_db"], beaten["images_worse"], beaten["reached"]) == (-math.inf, 6, False)
    none = {method: [[0, 0]] * 3 for method in ERRORS}
    nothing = gains_of(tmp_path, sweep(errors=none)).iloc[0]
    assert (nothing["gain_db"], nothing["worst_image_gain_db"], nothing["images_worse"]) == (0, 0, 0)


@pytest.mark.parametrize(("rule", "eq7", "gain"), [(0, 9, math.inf), (9, 0, -math.inf), (0, 0, 0)])
def test_the_10th_percentile_without_error(tmp_path, rule, eq7, gain):
    row = gains_of(tmp_path, sweep(errors={RULE: [[rule, rule]] * 3, EQ7: [[eq7, eq7]] * 3})).iloc[0]
    assert (row["gain_db"], row["p10_gain_db"]) == (gain, gain)


def test_the_10th_percentile_may_be_the_last_image_with_an_error(tmp_path, macs):
    errors = {method: [[9, 8, 4, 0, 0, 0, 0], [0] * 7, [0] * 7] for method in ERRORS}
    one = sweep(errors=errors, images=7)
    for method in one["methods"]:
        method["clip_score"] = None
    sweeps = make(tmp_path, one)
    wanted = pytest.approx(decibels(4))  # the third of 21
    assert build_beyond_table(sweeps, macs)["psnr_p10_db"].tolist() == [wanted] * 5
    assert build_gains_table(sweeps, {})["psnr_p10_db"].tolist() == [wanted]


def test_images_without_error_are_no_cause_to_warn(tmp_path, macs):
    sweeps = make(tmp_path, sweep(errors={RULE: [[0, 0]] * 3}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_gains_table(sweeps, {})
        build_beyond_table(sweeps, macs)


def test_missing_macs_are_named(tmp_path, macs):
    sweeps = make(tmp_path, sweep(branch=1))
    with pytest.raises(DeepCacheError, match=r"macs/a\.json: no MACs of a, branch 1, which .*b1-n5\.json needs"):
        build_beyond_table(sweeps, macs)
    with pytest.raises(DeepCacheError, match="--macs: no MACs of a"):
        build_beyond_table(sweeps, {})
    with pytest.raises(DeepCacheError, match=r"a\.json: not readable MACs"):
        build_beyond_table(sweeps, {"a": write(tmp_path / "a.json", "{")})
