"""Whose U-Net, whose reuse: found, refused or told, never mixed up."""

import copy
import io
import logging
import threading

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from peft import LoraConfig, get_peft_model

from deepcache import DeepCache, DeepCacheError, Forecast
from tests.caching.pipelines import generate, image_to_image
from tests.caching.reference import trajectory
from tests.caching.test_engine import KINDS, cached
from tests.conftest import make_unet2d, make_unet2d_condition


def test_an_enabled_cache_is_found(unet2d):
    assert DeepCache.of(unet2d) is None
    cache = DeepCache(unet2d, interval=2)
    assert DeepCache.of(unet2d) is None
    with cache:
        assert DeepCache.of(unet2d) is cache
    assert DeepCache.of(unet2d) is None


def test_one_whose_handle_was_lost_can_be_ended(unet2d):
    DeepCache(unet2d, interval=2).enable()
    with pytest.raises(DeepCacheError, match=r"DeepCache\.of\(unet\)\.disable\(\) ends it"):
        DeepCache(unet2d, interval=3).enable()
    DeepCache.of(unet2d).disable()
    with DeepCache(unet2d, interval=3):
        pass


def test_a_pipelines_cache_is_found_by_pipeline_and_unet(pipe):
    with DeepCache(pipe, interval=2) as cache:
        assert DeepCache.of(pipe) is DeepCache.of(pipe.unet) is cache


def test_a_reuse_that_serves_another_cache_is_refused():
    reuse = Forecast()
    first = DeepCache(make_unet2d(), interval=2, reuse=reuse).enable()
    second = DeepCache(make_unet2d(), interval=2, reuse=reuse)
    with pytest.raises(DeepCacheError, match="this reuse serves another cache, which is enabled"):
        second.enable()
    assert DeepCache.of(second.unet) is None
    first.disable()
    with second:
        assert second.reuse is reuse


def test_a_cache_that_could_not_be_enabled_holds_no_reuse(unet2d):
    reuse = Forecast()
    with pytest.raises(DeepCacheError):
        DeepCache(unet2d, interval=2, reuse=reuse, graph=True).enable()  # needs a GPU's tensors
    with DeepCache(make_unet2d(), interval=2, reuse=reuse):
        pass
    with DeepCache(unet2d, interval=2):
        pass


@pytest.mark.parametrize("interval", [np.int64(3), np.int32(3)])
def test_numpy_integers_are_integers(unet2d, interval):
    call = KINDS["UNet2DModel"][1]
    plain = cached(unet2d, call, 1, interval=3)
    assert torch.equal(cached(unet2d, call, np.int64(1), interval=interval), plain)
    assert Forecast(np.int64(2)).order == 2


def test_a_pipelines_new_unet_is_told(pipe, caplog):
    with DeepCache(pipe, interval=2) as cache, caplog.at_level(logging.WARNING):
        pipe.unet = make_unet2d_condition()
        for _ in range(2):
            pipe.scheduler.set_timesteps(4)
        assert [record.message for record in caplog.records] == [
            "the pipeline's U-Net was replaced: it runs uncached; disable, and enable on the new one"
        ]
        assert DeepCache.of(cache.unet) is cache


def test_a_unet_within_peft_is_cached():
    """peft's model calls the U-Net's own forward."""
    call = KINDS["UNet2DConditionModel"][1]
    wrapped = get_peft_model(make_unet2d_condition(), LoraConfig(r=2, target_modules=["to_q"], init_lora_weights=False))
    inner = wrapped.get_base_model()
    expected = cached(inner, call, 1, interval=3)
    with DeepCache(wrapped, interval=3, branch=1) as cache:
        assert cache.unet is inner
        calls = []
        handle = inner.mid_block.register_forward_hook(lambda *_: calls.append(1))
        cache.start_trajectory()
        for step in range(6):
            call(wrapped, torch.zeros(2, 4, 16, 16), torch.tensor(6 - step))
        handle.remove()
        assert cache.full_steps == (0, 3) and len(calls) == 2
    assert torch.equal(cached(inner, call, 1, interval=3), expected)


def copied(module):
    return copy.deepcopy(module)


def pickled(module):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("duplicate", [copied, pickled])
@pytest.mark.parametrize("kind", KINDS)
def test_copies_of_an_enabled_unet_are_uncached_and_their_own(kind, duplicate):
    make, call = KINDS[kind]
    unet, weights = make(), make()
    with torch.no_grad():
        for parameter in weights.parameters():
            parameter.add_(0.01)
    x, t = torch.randn(2, unet.config.in_channels, 16, 16), torch.tensor(3)
    expected, other = call(unet, x, t), call(weights, x, t)
    with DeepCache(unet, interval=3, branch=1) as cache:
        call(unet, x, t)
        twin = duplicate(unet)
        assert DeepCache.of(twin) is None
        twin.load_state_dict(weights.state_dict())
        for _ in range(3):
            assert torch.equal(call(twin, x, t), other)
        assert cache.steps == 1, "the copy's calls are not the original's"
    assert torch.equal(call(twin, x, t), other)
    with DeepCache(twin, interval=3, branch=1) as cache:
        assert torch.equal(call(twin, x, t), other)
        assert cache.full_steps == (0,)
    assert torch.equal(call(unet, x, t), expected)


def test_copies_of_an_enabled_pipeline(pipe):
    with DeepCache(pipe, interval=2) as cache:
        twin = copy.deepcopy(pipe)
        pipe.scheduler.set_timesteps(4)
        twin.scheduler.set_timesteps(6)
        assert len(twin.scheduler.timesteps) > len(pipe.scheduler.timesteps)
        assert DeepCache.of(twin) is None and DeepCache.of(pipe) is cache
        before = pipe.scheduler.timesteps.clone()
        copy.deepcopy(pipe.scheduler).set_timesteps(3)
        assert torch.equal(pipe.scheduler.timesteps, before)
    before = pipe.scheduler.timesteps.clone()
    twin.scheduler.set_timesteps(5)
    assert torch.equal(pipe.scheduler.timesteps, before)


def test_another_thread_in_the_middle_of_a_trajectory_is_refused(unet2d):
    call = KINDS["UNet2DModel"][1]
    x, found = torch.randn(2, 1, 16, 16), []

    def other():
        try:
            found.append(call(unet2d, x, torch.tensor(2)))
        except DeepCacheError as error:
            found.append(str(error))

    def run():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return found[-1]

    with DeepCache(unet2d, interval=3) as cache:
        first = call(unet2d, x, torch.tensor(3))
        assert run().startswith("this U-Net is in the middle of another thread's trajectory: give each thread")
        call(unet2d, x, torch.tensor(2))
        assert cache.steps == 2 and cache.full_steps == (0,), "the refused call has left no trace"
        cache.start_trajectory()
        assert isinstance(run(), torch.Tensor), "a whole trajectory may run in any thread"
        assert first.shape == found[-1].shape


def test_two_threads_with_a_scheduler_each(pipe):
    """The second one is refused at whatever step it comes, and the first one's picture is what it is alone."""
    other = image_to_image(pipe, scheduler=DDIMScheduler(steps_offset=1, clip_sample=False))
    with DeepCache(pipe, 3, 1):
        alone = generate(pipe)
        refused = []

        def meanwhile(pipeline, step, t, tensors):
            def run():
                try:
                    generate(other)
                except DeepCacheError as error:
                    refused.append(str(error))

            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
            return tensors

        assert torch.equal(generate(pipe, callback_on_step_end=meanwhile), alone)
        assert len(refused) == 3, "after the last step it is free"
        assert all("in the middle of another thread's trajectory: give each thread a U-Net" in one for one in refused)


def test_threads_that_call_at_the_same_time(unet2d):
    """While a call runs, none of another thread's begins a trajectory."""
    call, x, found = KINDS["UNet2DModel"][1], torch.randn(2, 1, 16, 16), []

    def intrude(*_):
        def run():
            try:
                call(unet2d, x, torch.tensor(999))
            except DeepCacheError:
                found.append("refused")

        if not found:
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()

    expected = cached(unet2d, call, 0)
    with DeepCache(unet2d, 3, 0):
        handle = unet2d.mid_block.register_forward_hook(intrude)
        assert torch.equal(trajectory(unet2d, DDIMScheduler(), 7, call), expected)
        handle.remove()
    assert found == ["refused"]


def test_pictures_of_one_server_in_several_threads(pipe):
    """One after another: a thread of its own for each request, as web frameworks have it."""
    found = []
    for given in (pipe, pipe.unet):
        with DeepCache(given, 3, 1) as cache:
            found.append(generate(pipe))
            for _ in range(2):
                thread = threading.Thread(target=lambda: found.append(generate(pipe)))
                thread.start()
                thread.join()
            assert cache.full_steps == (0, 3)
    assert len(found) == 6 and all(torch.equal(one, found[0]) for one in found)


def test_what_is_wrapped_is_refused_by_name(unet2d):
    with pytest.raises(DeepCacheError, match="DataParallel is not a U-Net"):
        DeepCache(torch.nn.DataParallel(unet2d), 3)


def test_a_kept_copy_of_what_a_scheduler_holds_is_watched_when_it_is_put_back(pipe):
    """Panorama pipelines keep a scheduler's attributes for each tile."""
    with DeepCache(pipe, 3, 1) as cache:
        kept = copy.deepcopy(vars(pipe.scheduler))
        generate(pipe)
        vars(pipe.scheduler).update(kept)
        assert cache.steps == 4
        pipe.scheduler.set_timesteps(4)
        assert cache.steps == 0
    assert not {"set_timesteps", "step"} & vars(pipe.scheduler).keys()
