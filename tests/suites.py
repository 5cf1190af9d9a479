"""The suites of config/, complete."""

from pathlib import Path

import yaml

from deepcache.suite.reading import complete

ROOT = Path(__file__).resolve().parents[1]


def read_suite(name: str = "config") -> dict:
    """config/<name>.yaml with what it extends, and every row of its tables spelt out."""
    return complete(yaml.safe_load((ROOT / f"config/{name}.yaml").read_text(encoding="utf-8")), ROOT)
