"""Stable Diffusion in small."""

import pytest

from tests.caching.pipelines import text_to_image


@pytest.fixture
def pipe(tmp_path):
    """See pipelines.text_to_image."""
    return text_to_image(tmp_path)
