"""Every pipeline of the table at every branch: cached, it is the full network with the feature overridden."""

import pytest
import torch

from deepcache import DeepCache, num_branches
from deepcache.caching.branches import find_cut
from tests.caching.reference import feature_replaced
from tests.support.rows import ROWS
from tests.support.table import PAGE, page

INTERVAL = 2


def overridden(pipe, branch: int, sample):
    """The images where at every second call of the U-Net the feature of the call before is put in."""
    feeder, calls, kept = find_cut(pipe.unet, branch).feeder, iter(range(100)), {}
    name = next(name for name, module in pipe.unet.named_modules() if module is feeder)

    def override(feature):
        if next(calls) % INTERVAL == 0:
            kept["feature"] = feature.clone()
            return feature
        return kept["feature"].clone()

    handle = feature_replaced(pipe.unet, name, override)
    try:
        return sample(pipe)
    finally:
        handle.remove()


@pytest.mark.parametrize("name", ROWS)
def test_every_branch_is_exact(name, tmp_path):
    row = ROWS[name]
    pipe = row.make(tmp_path)
    plain, same = row.sample(pipe), 0
    for branch in range(num_branches(pipe.unet)):
        with DeepCache(pipe, INTERVAL, branch) as cache:
            found = row.sample(pipe)
            assert 0 < len(cache.full_steps) < cache.steps
        wanted = overridden(pipe, branch, row.sample)
        assert torch.isfinite(found).all()
        assert torch.equal(found, wanted), f"branch {branch}"
        same += torch.equal(found, plain)
    assert same == 0
    assert torch.equal(row.sample(pipe), plain)


def test_the_table_in_the_docs_is_this_one():
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "python -m tests.support.table"
