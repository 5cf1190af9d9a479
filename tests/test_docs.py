"""What the README and the pages name is there: paths, programs, links, targets, public names, packages."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_layers import LAYERS

ROOT = Path(__file__).resolve().parents[1]
CHANGES = "CHANGELOG.md"  # it tells of what is gone, too
PAGES = [
    *("README.md", CHANGES, "config/README.md", "config/published/README.md"),
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
]
PRESENT = [page for page in PAGES if page != CHANGES]
TOP = "deepcache|workflow|config|rules|resources|envs|profiles|tests|docs"


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def links(page: str) -> list[tuple[Path, str]]:
    """(file, heading) that the page's links lead to, but for those that leave the project."""
    found = re.findall(r"\]\(([^)\s]+)\)", text_of(page))
    split = [target.partition("#") for target in found if "://" not in target]
    return [((ROOT / page).parent / path if path else ROOT / page, heading) for path, _, heading in split]


def headings(path: Path) -> set[str]:
    """A page's headings as links name them."""
    lines = re.findall(r"^#+ (.*)", path.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in lines}


@pytest.fixture(scope="module")
def targets(tmp_path_factory) -> set[str]:
    """The workflow's rules that can be asked for by name."""
    snakemake = Path(sys.executable).with_name("snakemake")
    place = tmp_path_factory.mktemp("elsewhere")
    command = [snakemake, "--snakefile", ROOT / "Snakefile", "--directory", place, "--list-target-rules"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("page", PRESENT)
def test_paths(page):
    for path in set(re.findall(rf"(?<![\w/.-])((?:{TOP})/[\w./-]*\w)", text_of(page))):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PRESENT)
def test_programs_and_modules_by_their_names_alone(page):
    there = {path.name for top in ("workflow", "deepcache", "tests") for path in (ROOT / top).rglob("*.py")}
    ours = re.sub(r"^(\| `[\w/]+\.py` \|| +# ).*", "", text_of(page), flags=re.M)  # without the authors' scripts
    assert set(re.findall(r"`(\w+\.py)\b", ours)) <= there


@pytest.mark.parametrize("page", PAGES)
def test_links(page):
    for path, heading in links(page):
        assert path.exists(), path
        assert not heading or heading in headings(path), f"{path}#{heading}"


def test_every_page_is_linked_from_another():
    linked = {path.resolve() for page in PAGES for path, _ in links(page) if path.resolve() != (ROOT / page)}
    assert {ROOT / page for page in PAGES[1:]} <= linked


@pytest.mark.parametrize("page", PRESENT)
def test_targets(page, targets):
    text = text_of(page)
    named = set(re.findall(r"[Tt]arget `(\w+)`", text))
    for command in re.findall(r"snakemake ([^`#\n-]*)", text):
        named |= {word for word in command.split() if re.fullmatch(r"[a-z]\w*", word)}
    assert named <= targets
    made = set(re.findall(r"^([\w-]+):", text_of("Makefile"), flags=re.M))
    assert set(re.findall(r"(?:`|^ {4})make ([\w-]+)", text, flags=re.M)) <= made


def test_the_readme_is_an_entrance():
    assert len(text_of("README.md").splitlines()) <= 130


def test_the_public_names():
    import deepcache

    rows = re.findall(r"^\| (`.*?) \|", text_of("docs/use.md").partition("## Versions")[2], flags=re.M)
    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row)) == deepcache.__all__


def test_every_package_has_a_line():
    named = re.findall(r"^ {4}([\w/]+)/ ", text_of("docs/extend.md"), flags=re.M)
    assert [name for name in named if name in LAYERS] == list(LAYERS)


@pytest.mark.parametrize("page", PRESENT)
def test_targets_come_before_options_that_take_all_that_follows(page):
    for command in re.findall(r"snakemake [^`#\n]*", text_of(page)):
        values = re.search(r"--(?:configfile|resources)((?: [^-\s]\S*)*)", command)
        assert values is None or all("." in word or "=" in word for word in values[1].split()), command
