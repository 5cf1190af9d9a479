"""What a run leaves on the screen, in what order it works, and where its jobs print."""

from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

from tests.workflow.project import Project


def test_the_view_is_a_plugin_that_snakemake_finds():
    assert LoggerPluginRegistry().is_installed("live")


def test_the_screen_is_small_and_has_the_first_table_once(finished: Project):
    screen = finished.screen
    assert screen.count("# Table 2") == 1
    # The table itself, its intervals and notes are most of it.
    table = (finished.results / "tables/table02.md").read_text(encoding="utf-8").strip()
    assert table in screen and len(screen) < len(table) + 2000
    assert "results/tiny/figures/table2_samples.png is ready after" in screen
    assert "step/s" not in screen and "Finished jobid" not in screen
    assert screen.splitlines()[-1].startswith("71 of 71 jobs done in")


def test_what_comes_first_is_made_before_anything_else(finished: Project):
    table = finished.results / "tables/table02.md"
    picture = finished.results / "figures/table2_samples.png"
    others = list(finished.results.glob("digits-ddpm/ddim-[25]0/**/shards/*.npz"))
    assert len(others) == 4, "what Table 6 alone needs"
    ready = max(finished.stamps[table], finished.stamps[picture])
    assert all(finished.stamps[path] > ready for path in others)


def test_a_job_prints_to_its_log(finished: Project):
    log = finished.results / "logs/sample_shard/digits-ddpm/ddim-10/full/0/00000.log"
    lines = log.read_text(encoding="utf-8").splitlines()
    assert "10/10" in "".join(lines) and "4 images in" in lines[-1]
    assert len(lines) == len(set(lines)), "once"
