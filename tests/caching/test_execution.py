"""Compiled passes and passes from recorded graphs give what the eager ones give."""

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch.utils._python_dispatch import TorchDispatchMode

from deepcache import DeepCache, DeepCacheError, Forecast
from deepcache.caching.graphs import KEPT, CudaRecorder, Graphed
from tests.caching.pipelines import text_to_image
from tests.conftest import make_unet2d, make_unet2d_condition

STEPS = 7
# What takes torch.compile the least time.
SMALL = {"layers_per_block": 1, "block_out_channels": (8, 16)}
SMALL_PIXELS = SMALL | {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
SMALL_LATENTS = SMALL | {
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def trajectory(unet, batch=2, size=16, tokens=5, steps=STEPS, device="cpu", timestep=None):
    """What the U-Net returns at each step of a made-up trajectory."""
    generator = torch.Generator().manual_seed(batch * size + tokens)
    x = torch.randn(batch, unet.config.in_channels, size, size, generator=generator).to(device)
    call = {}
    if unet.config.get("cross_attention_dim"):
        call["encoder_hidden_states"] = torch.randn(batch, tokens, 16, generator=generator).to(device)
    outputs = []
    with torch.no_grad():
        for step in range(steps):
            t = (timestep or torch.tensor)(990 - 10 * step)
            x = x - 0.1 * unet(x, t, **call, return_dict=False)[0]
            outputs.append(x)
    return torch.stack(outputs)


def cached(unet, interval=3, branch=2, reuse=None, calls=({},), **modes):
    """Trajectories one after another with caching."""
    with DeepCache(unet, interval, branch, reuse=reuse, **modes) as cache:
        found = []
        for call in calls:
            cache.start_trajectory()
            found.append(trajectory(unet, **call))
    return found


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


@pytest.mark.parametrize("modes", [{"compile": "inductor"}, {"graph": 1}])
def test_wrong_modes_are_refused(unet2d, modes):
    with pytest.raises(DeepCacheError, match="compile must be True, False or a dictionary"):
        DeepCache(unet2d, 3, **modes)


def test_graph_needs_a_gpu(unet2d):
    with pytest.raises(DeepCacheError, match="graph=True needs a CUDA device, and this U-Net is on 'cpu'"):
        DeepCache(unet2d, 3, graph=True).enable()
    assert "forward" not in vars(unet2d)


def test_offloaded_weights_are_refused(unet2d):
    unet2d._hf_hook = object()  # accelerate's mark
    with pytest.raises(DeepCacheError, match="accelerate moves this U-Net's weights"):
        DeepCache(unet2d, 3, compile=True).enable()


# Graphs. On the CPU a recorder stands in for CUDA's: its replay computes anew from the recorded inputs into the
# recorded output, as a graph does.


class Replays:
    def __init__(self):
        self.recorded = self.replayed = 0

    def __call__(self, function):
        self.recorded += 1
        output = function()

        def replay():
            self.replayed += 1
            for place, new in zip(output, function(), strict=True):
                place.copy_(new)

        return output, replay


class CountCopies(TorchDispatchMode):
    """Counts the tensors that are copied into others."""

    def __init__(self):
        super().__init__()
        self.into = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.into += func is torch.ops.aten.copy_.default
        return func(*args, **(kwargs or {}))


def double(x, *, add=0.0, mode="sum"):
    return (2 * x + add,)


@torch.no_grad()
def test_graphed_records_each_shape_once_and_returns_copies():
    recorder = Replays()
    graphed = Graphed(double, recorder)
    first = graphed(torch.ones(3), add=torch.ones(1))[0]
    second = graphed(torch.full((3,), 5.0), add=torch.ones(1))[0]
    assert first.tolist() == [3.0] * 3
    assert second.tolist() == [11.0] * 3
    assert (recorder.recorded, recorder.replayed) == (1, 2)
    assert graphed(torch.ones(4))[0].tolist() == [2.0] * 4
    assert graphed(torch.ones(4), mode="mean")[0].tolist() == [2.0] * 4
    assert recorder.recorded == 3
    assert graphed(torch.zeros(3), add=torch.ones(1))[0].tolist() == [1.0] * 3
    assert recorder.recorded == 3


@torch.no_grad()
def test_graphed_keeps_the_latest_shapes():
    recorder = Replays()
    graphed = Graphed(double, recorder)
    for size in (*range(1, KEPT + 2), KEPT + 1, 1):
        assert graphed(torch.ones(size))[0].tolist() == [2.0] * size
    assert recorder.recorded == KEPT + 2  # the first one was forgotten


@torch.no_grad()
def test_what_stays_is_copied_once():
    recorder = Replays()
    graphed = Graphed(lambda feature, x: (feature + x,), recorder, steady=1)
    feature, zero, one = torch.full((3,), 2.0), torch.zeros(3), torch.ones(3)
    assert graphed(feature, zero)[0].tolist() == [2.0] * 3
    with CountCopies() as copies:
        assert graphed(feature, one)[0].tolist() == [3.0] * 3
        assert copies.into == 1 + 1, "of x, and by the stand-in of its output"
    feature += 1
    assert graphed(feature, zero)[0].tolist() == [3.0] * 3, "written into"
    assert graphed(feature.clone() + 1, zero)[0].tolist() == [4.0] * 3, "another one"
    assert graphed(feature, zero)[0].tolist() == [3.0] * 3, "the first one again"
    with torch.inference_mode():
        unversioned = feature * 2
        assert graphed(unversioned, zero)[0].tolist() == [6.0] * 3
        unversioned += 1
        assert graphed(unversioned, zero)[0].tolist() == [7.0] * 3
    assert graphed(feature, zero)[0].tolist() == [3.0] * 3
    assert recorder.recorded == 1


def test_graphed_refuses_gradients():
    with pytest.raises(DeepCacheError, match="graph=True has no gradients"):
        Graphed(double, Replays())(torch.ones(1))


@GPU
@pytest.mark.parametrize("compile", [False, True])
def test_graphs_are_eager(compile):
    calls = [{"device": "cuda", "batch": batch, "tokens": tokens} for batch, tokens in ((2, 5), (4, 5), (2, 9), (2, 5))]
    graphs = cached(make_unet2d_condition().cuda(), reuse=Forecast(), compile=compile, graph=True, calls=calls)
    eager = cached(make_unet2d_condition().cuda(), reuse=Forecast(), calls=calls)
    for one, other in zip(graphs, eager, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-3)


@GPU
def test_a_graph_shares_memory_and_survives_the_others():
    recorder = CudaRecorder()
    passes = [Graphed(lambda x, k=k: (k * x.sin(),), recorder) for k in (1, 2)]
    with torch.no_grad():
        x = torch.linspace(0, 1, 1000, device="cuda")
        kept = [one(x)[0] for one in passes]
        for one in passes:
            one(torch.zeros_like(x))
    assert torch.allclose(kept[1], 2 * kept[0])
    assert torch.allclose(kept[0], x.sin())


@GPU
def test_no_step_waits_for_the_device():
    unet = make_unet2d_condition().cuda()
    times = torch.arange(990, 900, -10, device="cuda")
    with DeepCache(unet, 3, 2, reuse=Forecast()) as cache:
        cache.start_trajectory()
        x = torch.randn(2, 4, 16, 16, device="cuda")
        context = torch.randn(2, 5, 16, device="cuda")
        torch.cuda.set_sync_debug_mode("error")
        try:
            with torch.no_grad():
                for t in times:
                    x = x - 0.1 * unet(x, t, context, return_dict=False)[0]
        finally:
            torch.cuda.set_sync_debug_mode("default")
