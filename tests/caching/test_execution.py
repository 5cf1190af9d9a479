"""Compiled passes and passes from recorded graphs give what the eager ones give."""

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from deepcache import DeepCache, DeepCacheError, Forecast
from deepcache.caching.execution import EXECUTIONS, Execution
from deepcache.execution_modes import MODES
from tests.caching.pipelines import text_to_image
from tests.caching.trajectories import STEPS, cached, trajectory
from tests.conftest import make_unet2d, make_unet2d_condition

# What takes torch.compile the least time.
SMALL = {"layers_per_block": 1, "block_out_channels": (8, 16)}
SMALL_PIXELS = SMALL | {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
SMALL_LATENTS = SMALL | {
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}


@pytest.mark.parametrize("make", [make_unet2d, make_unet2d_condition])
@pytest.mark.parametrize("reuse", [None, Forecast(order=2)])
def test_compiled_is_eager_and_compiles_each_pass_once(make, reuse):
    counter = CompileCounter()
    compiled = cached(make(), reuse=reuse, compile={"backend": counter}, calls=[{}, {}])
    assert counter.frame_count == 2
    assert torch.equal(compiled[0], compiled[1])
    assert torch.allclose(compiled[0], cached(make(), reuse=reuse)[0], rtol=0, atol=1e-5)


def test_compiled_for_another_batch_resolution_and_prompt():
    calls = [{}, {"batch": 4}, {"size": 32}, {"tokens": 9}, {}]
    compiled = cached(make_unet2d_condition(**SMALL_LATENTS), compile={"backend": "eager"}, calls=calls)
    for one, eager in zip(compiled, cached(make_unet2d_condition(**SMALL_LATENTS), calls=calls), strict=True):
        assert torch.allclose(one, eager, rtol=0, atol=1e-5)


@pytest.mark.parametrize("timestep", [int, float, torch.tensor])
def test_compiled_once_whatever_a_timestep_is(timestep):
    counter = CompileCounter()
    compiled = cached(make_unet2d(), compile={"backend": counter}, calls=[{"timestep": timestep}])
    assert counter.frame_count == 2
    assert torch.equal(compiled[0], cached(make_unet2d(), calls=[{"timestep": timestep}])[0])


def test_many_models_may_be_compiled_in_one_process():
    for _ in range(9):  # torch gives up on a function that was compiled eight times
        cached(make_unet2d(**SMALL_PIXELS), compile={"backend": "eager"}, calls=[{"steps": 2}], interval=2)


def test_inductor():
    compiled = cached(make_unet2d(**SMALL_PIXELS), compile=True, branch=1)
    assert torch.allclose(compiled[0], cached(make_unet2d(**SMALL_PIXELS), branch=1)[0], rtol=0, atol=1e-5)


def test_without_a_cpp_compiler(unet2d):
    with torch._inductor.config.patch({"cpp.cxx": (None, "/nowhere/g++")}):
        with pytest.raises(DeepCacheError, match=r"needs a C\+\+ compiler, and there is none: install g\+\+"):
            DeepCache(unet2d, 3, compile=True).enable()
        DeepCache(unet2d, 3, compile={"backend": "eager"}).enable().disable()  # needs none
    assert "forward" not in vars(unet2d)


@pytest.fixture
def guarded(monkeypatch):
    """How often torch compared what compiled code depends on; once more for each time it compiles."""
    calls = []
    compile = torch.compile

    def counting(function, **options):
        compiled = compile(function, **options)
        return lambda *args, **kwargs: calls.append(function.__name__) or compiled(*args, **kwargs)

    monkeypatch.setattr(torch, "compile", counting)
    return calls


def test_guards_are_checked_once_in_a_trajectory(guarded):
    compiled = cached(make_unet2d(**SMALL_PIXELS), compile={"backend": "eager"}, calls=[{}, {}])
    assert guarded == ["full", "shallow"] * 2
    for one in compiled:
        assert torch.allclose(one, cached(make_unet2d(**SMALL_PIXELS))[0], rtol=0, atol=1e-5)


def test_a_layer_changed_between_trajectories_is_compiled_anew():
    unet, changed = make_unet2d(**SMALL_PIXELS), make_unet2d(**SMALL_PIXELS)
    counter = CompileCounter()
    with DeepCache(unet, 3, 2, compile={"backend": counter}) as cache:
        cache.start_trajectory()
        trajectory(unet)
        for network in (unet, changed):
            network.conv_norm_out.eps = 0.5
        cache.start_trajectory()
        found = trajectory(unet)
    assert counter.frame_count == 4
    assert torch.allclose(found, cached(changed)[0], rtol=0, atol=1e-5)


def test_guards_are_checked_for_what_changes_within_a_trajectory(guarded):
    """A prompt of another length, gradients, another precision: none may run what was compiled for the others."""
    unet = make_unet2d_condition(**SMALL_LATENTS)
    x, tokens = torch.randn(2, 4, 16, 16), torch.randn(2, 9, 16)

    def run(forward, length, **options):
        DeepCache.of(unet).next_step()
        return forward(x, torch.tensor(500), tokens[:, :length].clone(), return_dict=False, **options)[0]

    with DeepCache(unet, schedule=(0,), branch=1) as cache, torch.no_grad():
        run(unet, 5)
        eager = run(unet, 9)
    with DeepCache(unet, schedule=(0,), branch=1, compile={"backend": "eager"}) as cache:
        with torch.no_grad():
            run(unet, 5)
            run(unet, 5)
            run(unet, 5)
            assert guarded == ["full", "shallow"]
            assert torch.allclose(run(unet, 9), eager, rtol=0, atol=1e-5)
            with torch.autocast("cpu", torch.bfloat16):
                assert run(unet, 5).dtype == torch.bfloat16
        assert run(unet, 5).requires_grad
        cache.start_trajectory()
    assert guarded == ["full", *["shallow"] * 4]


def test_with_two_codes_torch_looks_for_the_right_one(guarded):
    calls = [{}, {"batch": 4}, {}]
    compiled = cached(make_unet2d(**SMALL_PIXELS), compile={"backend": "eager", "dynamic": False}, calls=calls)
    for one, eager in zip(compiled, cached(make_unet2d(**SMALL_PIXELS), calls=calls), strict=True):
        assert torch.allclose(one, eager, rtol=0, atol=1e-5)
    assert len(guarded) == 2 + 2 * STEPS


def test_what_ran_eagerly_is_not_taken_for_compiled():
    unet = make_unet2d(**SMALL_PIXELS)
    with DeepCache(unet, 3, 2, compile={"backend": "eager", "dynamic": False}) as cache:
        trajectory(unet)
        cache.start_trajectory()
        with torch.compiler.set_stance("eager_on_recompile"):  # not compiled for this batch
            found = trajectory(unet, batch=4)
    assert torch.allclose(found, cached(make_unet2d(**SMALL_PIXELS), calls=[{"batch": 4}])[0], rtol=0, atol=1e-5)


def test_compiled_without_caching():
    unet = make_unet2d(**SMALL_PIXELS)
    assert torch.allclose(cached(unet, 1, compile={"backend": "aot_eager"})[0], trajectory(unet), rtol=0, atol=1e-5)


def test_compiled_pipeline(tmp_path):
    pipe = text_to_image(tmp_path, **SMALL_LATENTS)

    def images(**modes):
        with DeepCache(pipe, 2, 1, **modes):
            return torch.from_numpy(
                pipe("a b", num_inference_steps=5, output_type="np", generator=torch.Generator().manual_seed(0)).images
            )

    assert torch.allclose(images(compile={"backend": "eager"}), images(), rtol=0, atol=1e-5)


def test_freeu_writes_into_the_feature_of_a_compiled_pass_not_into_the_cache(tmp_path):
    pipe = text_to_image(tmp_path, **SMALL_LATENTS)
    pipe.enable_freeu(s1=0.9, s2=0.2, b1=1.5, b2=1.6)
    eager = cached(pipe.unet, branch=1)[0]
    assert torch.allclose(cached(pipe.unet, branch=1, compile={"backend": "aot_eager"})[0], eager, rtol=0, atol=1e-5)
    pipe.disable_freeu()
    assert not torch.allclose(cached(pipe.unet, branch=1)[0], eager, rtol=0, atol=1e-5)


def test_after_disabling_nothing_is_compiled(unet2d):
    before = trajectory(unet2d)
    cached(unet2d, compile={"backend": "eager"})
    assert torch.equal(trajectory(unet2d), before)


@pytest.mark.parametrize("mode", ["reduce-overhead", "max-autotune"])
def test_modes_that_overwrite_the_feature_are_refused(unet2d, mode):
    with pytest.raises(DeepCacheError, match=f"{mode}.*overwrites the cached feature: give graph=True"):
        DeepCache(unet2d, 3, compile={"mode": mode})


@pytest.mark.parametrize(
    ("modes", "said"),
    [
        ({"compile": "inductor"}, 'compile must be True, False, "shallow" or a dictionary'),
        ({"graph": 1}, 'graph must be True, False or "auto"'),
        ({"graph": "always"}, 'graph must be True, False or "auto"'),
    ],
)
def test_wrong_modes_are_refused(unet2d, modes, said):
    with pytest.raises(DeepCacheError, match=said):
        DeepCache(unet2d, 3, **modes)


def test_the_shallow_pass_alone(guarded):
    compiled = cached(make_unet2d(**SMALL_PIXELS), compile="shallow", branch=1, calls=[{}, {}])
    assert guarded == ["shallow"] * 2
    for one in compiled:
        assert torch.allclose(one, cached(make_unet2d(**SMALL_PIXELS), branch=1)[0], rtol=0, atol=1e-5)


def test_graph_needs_a_gpu(unet2d):
    with pytest.raises(DeepCacheError, match="graph=True needs a CUDA device, and this U-Net is on 'cpu'"):
        DeepCache(unet2d, 3, graph=True).enable()
    assert "forward" not in vars(unet2d)


def test_offloaded_weights_are_refused(unet2d):
    unet2d._hf_hook = object()  # accelerate's mark
    with pytest.raises(DeepCacheError, match="accelerate moves this U-Net's weights"):
        DeepCache(unet2d, 3, compile=True).enable()
    assert "forward" not in vars(unet2d)
    with DeepCache(unet2d, 3, graph="auto"):  # records nothing then
        trajectory(unet2d)


def test_modes_have_names():
    assert tuple(EXECUTIONS) == MODES
    assert Execution(compile={"backend": "eager"}).name == "compile" and Execution(graph="auto").name == "replay"
