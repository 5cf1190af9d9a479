from deepcache.runs.run import Run
from deepcache.suite.layout import table_layout, table_layouts, timed_variants
from deepcache.suite.timing import timed_as, timed_variant, timing_groups
from tests.suites import read_suite

CONFIG = read_suite()


def test_models_that_differ_in_their_prompts_are_timed_once():
    models = timed_as(CONFIG)
    assert models["digits-sd-captions"] == models["digits-sd"] == "digits-sd"
    assert models["digits-bk-sdm-captions"] == "digits-bk-sdm"
    other = {"models": {"a": {"checkpoint": "x"}, "b": {"checkpoint": "x", "precision": "float16"}}}
    assert timed_as(other) == {"a": "a", "b": "b"}
    other["models"]["b"] = {"checkpoint": "x", "negative_prompt": "blurry"}
    assert timed_as(other) == {"a": "a", "b": "b"}, "another text is to be encoded, and plans are others"


def test_tables_that_share_a_model_are_timed_together():
    variants = {"one": ["a/s/full"], "two": ["b/s/full"], "none": [], "three": ["a/s/m", "b/s/m"], "four": ["c/s/m"]}
    assert timing_groups(variants) == {"a": ["one", "two", "three"], "c": ["four"]}


def test_two_tables_of_the_same_runs_time_the_same():
    layouts = table_layouts(CONFIG)
    assert layouts["table13"]["timing"]["group"] == layouts["table14"]["timing"]["group"] == "digits-sd"
    assert timed_variants(layouts["table13"]) == timed_variants(layouts["table14"])
    run = Run.parse("digits-sd-captions/plms-50-cfg7.5/uniform-n5-b1/seed-3")
    assert timed_variant(layouts["table14"], run) == "digits-sd/plms-50-cfg7.5/uniform-n5-b1"


def test_a_layout_without_times_has_no_timing_job():
    assert table_layouts(CONFIG)["table6"]["timing"].get("group") is None
    assert "group" not in table_layout(CONFIG, "table2")["timing"]
