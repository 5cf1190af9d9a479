"""Passes from recorded graphs give what the eager ones give."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from deepcache import DeepCache, DeepCacheError, Forecast
from deepcache.caching import execution
from deepcache.caching.graphs import KEPT, CudaRecorder, Graphed
from tests.caching.trajectories import STEPS, cached, trajectory
from tests.conftest import make_unet2d_condition
from tests.recorder import Replays


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
def test_graphed_records_each_shape_when_it_comes_again_and_returns_copies():
    recorder = Replays()
    graphed = Graphed(double, recorder)
    values = [graphed(torch.full((3,), float(x)), add=torch.ones(1))[0] for x in (1, 5, 0)]
    assert [one.tolist() for one in values] == [[3.0] * 3, [11.0] * 3, [1.0] * 3]
    assert (recorder.recorded, recorder.replayed) == (1, 2)
    assert graphed(torch.ones(4))[0].tolist() == [2.0] * 4
    assert graphed(torch.ones(4), mode="mean")[0].tolist() == [2.0] * 4
    assert recorder.recorded == 1
    for mode in ("sum", "mean", "mean"):
        assert graphed(torch.full((4,), 2.0), mode=mode)[0].tolist() == [4.0] * 4
    assert (recorder.recorded, recorder.replayed) == (2, 4)


@torch.no_grad()
def test_graphed_keeps_the_latest_shapes():
    recorder = Replays()
    graphed = Graphed(double, recorder)
    for size in (*range(1, KEPT + 2), KEPT + 1, 1):
        for _ in range(2):
            assert graphed(torch.ones(size))[0].tolist() == [2.0] * size
    assert recorder.recorded == KEPT + 2  # the first one was forgotten


@torch.no_grad()
def test_graphed_tells_autocast_from_none():
    graphed = Graphed(lambda x: (x @ x,), Replays())
    x = torch.full((2, 2), 1 + 2**-10)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = [graphed(x)[0] for _ in range(3)]
    exact = [graphed(x)[0] for _ in range(3)]
    assert all(one.dtype == torch.bfloat16 for one in rounded)
    assert all(torch.equal(one, x @ x) for one in exact)


@torch.no_grad()
def test_what_stays_is_copied_once():
    recorder = Replays()
    graphed = Graphed(lambda feature, x: (feature + x,), recorder, steady=1)
    feature, zero, one = torch.full((3,), 2.0), torch.zeros(3), torch.ones(3)
    for _ in range(2):
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


def test_gradients_are_refused_or_computed_without_a_graph():
    with pytest.raises(DeepCacheError, match="graph=True has no gradients"):
        Graphed(double, Replays())(torch.ones(1))
    recorder, x = Replays(), torch.ones(1, requires_grad=True)
    optional = Graphed(double, recorder, optional=True)
    for _ in range(3):
        assert optional(x)[0].requires_grad
    assert recorder.recorded == 0


@torch.no_grad()
def test_what_cannot_be_recorded_is_refused_or_runs_as_it_is(caplog):
    broken = Replays(RuntimeError("operation not permitted\nwhen stream is capturing"))
    graphed = Graphed(double, broken)
    graphed(torch.ones(1))
    with pytest.raises(DeepCacheError, match=r"cannot be recorded in a CUDA graph \(operation not permitted when"):
        graphed(torch.ones(1))
    optional = Graphed(double, broken, optional=True)
    for value in (1.0, 2.0, 3.0):
        assert optional(torch.full((1,), value))[0].item() == 2 * value
    (said,) = [one.getMessage() for one in caplog.records]
    assert said.endswith("(operation not permitted when stream is capturing): it runs as it is")


@torch.no_grad()
def test_where_memory_is_short_the_batch_is_to_be_halved_or_nothing_is_recorded():
    short = Replays(torch.OutOfMemoryError("tried to allocate"))
    graphed, optional = Graphed(double, short), Graphed(double, short, optional=True)
    for one in (graphed, optional):
        one(torch.ones(1))
    with pytest.raises(torch.OutOfMemoryError):
        graphed(torch.ones(1))
    assert optional(torch.ones(1))[0].item() == 2


# Whole trajectories


@pytest.mark.parametrize("graph", [True, "auto"])
@pytest.mark.parametrize("reuse", [None, Forecast()])
def test_replayed_is_eager(recorder, graph, reuse):
    calls = [{}, {"tokens": 9}, {}]
    replayed = cached(make_unet2d_condition(), reuse=reuse, graph=graph, calls=calls)
    assert recorder.recorded == 4 and recorder.replayed == 3 * STEPS - 4
    for one, eager in zip(replayed, cached(make_unet2d_condition(), reuse=reuse, calls=calls), strict=True):
        assert torch.equal(one, eager)


def test_uncached_is_replayed_too(recorder):
    unet = make_unet2d_condition()
    assert torch.equal(cached(unet, 1, graph="auto")[0], trajectory(unet))
    assert (recorder.recorded, recorder.replayed) == (1, STEPS - 1)


def test_weights_put_elsewhere_between_trajectories_are_recorded_anew(recorder):
    unet, changed = make_unet2d_condition(), make_unet2d_condition()
    with DeepCache(unet, 3, 2, graph="auto") as cache:
        trajectory(unet)
        for network in (unet, changed):
            network.conv_out.weight = torch.nn.Parameter(2 * network.conv_out.weight.detach())
        cache.start_trajectory()
        found = trajectory(unet)
    assert torch.equal(found, cached(changed)[0])
    assert recorder.recorded == 4


def test_auto_records_nothing_without_a_gpu(monkeypatch, caplog):
    unet = make_unet2d_condition()
    monkeypatch.setattr(execution, "CudaRecorder", None)  # which calling would fail
    assert torch.equal(cached(unet, graph="auto")[0], cached(unet)[0])
    assert not caplog.records


@pytest.mark.gpu
@pytest.mark.parametrize("compile", [False, True])
def test_graphs_are_eager(compile):
    calls = [{"device": "cuda", "batch": batch, "tokens": tokens} for batch, tokens in ((2, 5), (4, 5), (2, 9), (2, 5))]
    graphs = cached(make_unet2d_condition().cuda(), reuse=Forecast(), compile=compile, graph=True, calls=calls)
    eager = cached(make_unet2d_condition().cuda(), reuse=Forecast(), calls=calls)
    for one, other in zip(graphs, eager, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-3)


@pytest.mark.gpu
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


@pytest.mark.gpu
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
