"""Captions of digits, and the files of prompts that are made of them."""

from pathlib import Path

from deepcache.data.digit_prompts import PHRASINGS, PROMPT_FILES, caption, captions
from deepcache.data.prompts import read_prompts

PROMPTS = Path(__file__).resolve().parents[2] / "resources/prompts"


def test_captions():
    assert caption(8, "{a} {digit} in white on black") == "an eight in white on black"
    assert caption(7, "{a} {digit} in white on black") == "a seven in white on black"
    assert [len(row) for row in captions()] == [len(PHRASINGS)] * 10
    assert len({text for row in captions() for text in row}) == 10 * len(PHRASINGS)


def test_the_shipped_prompts_are_these_captions():
    for file, phrasings in PROMPT_FILES.items():
        assert read_prompts(PROMPTS / file) == [caption(label, one) for one in phrasings for label in range(10)]
