"""The calls of the U-Net within a step: streams, each with a feature of its own."""

import copy
from dataclasses import dataclass

import torch

from deepcache.caching.reuse import Reuse
from deepcache.caching.timesteps import in_one_array


@dataclass(eq=False)
class Stream:
    """One of the calls that come again at every step: the unconditional one, the conditional one, a tile.

    Attributes:
        reuse: what takes the place of the skipped feature in it.
        kind: shape, precision and device of the latent it is called with.
        context: what it attended to at its last call.
        since: the step of its first feature; None before that.
        called: whether it was called in this step.
        steady: whether its last two calls had the same context.
        by_order: whether nothing but the order tells that its last call was its own.
    """

    reuse: Reuse
    kind: tuple
    context: tuple = ()
    since: int | None = None
    called: bool = False
    steady: bool = False
    by_order: bool = False

    def observe(self, step: int, feature: torch.Tensor) -> None:
        """Take the feature that a full pass has just computed, shape (B, C, H, W)."""
        if self.since is None:
            self.since = step
        self.reuse.observe(step, feature)

    def can_predict(self, step: int) -> bool:
        """Whether a shallow pass is possible; one that has been there from the first step on must be able to."""
        return self.since is not None and (self.since == 0 or self.reuse.can_predict(step))


class Streams:
    """The streams of a trajectory.

    A call belongs to the stream that had the same context before, else to the next one in order of those without a
    steady context, among those that had a latent of the same kind and were not called in this step yet. What was not
    called in a whole step is forgotten, so that no feature is older than the last full step; with it what was found by
    its order, which is then in doubt.

    Args:
        reuse: of the first stream; the others have copies.
        cache: to whom the reuse belongs, which copies share.
    """

    def __init__(self, reuse: Reuse, cache: object):
        self._reuse, self._cache = reuse, cache
        self._streams: list[Stream] = []
        self._free = [reuse]

    def of(self, kind: tuple, context: tuple) -> Stream:
        """The stream of a call."""
        open_ones = [stream for stream in self._streams if stream.kind == kind and not stream.called]
        same = [stream for stream in open_ones if _is_same(stream.context, context)]
        stream = next(iter(same or [one for one in open_ones if not one.steady]), None)
        by_order = stream is not None and not (same and context)
        if stream is None:
            stream = Stream(self._free.pop(0) if self._free else self._copy(), kind)
            self._streams.append(stream)
        stream.context, stream.called, stream.by_order = context, True, by_order
        stream.steady = bool(same) and bool(context)
        return stream

    def next_step(self, settled: bool = True) -> None:
        """A step begins; nothing is kept unless its calls are `settled` to be those of the last one."""
        gone = any(not stream.called for stream in self._streams)
        kept = [one for one in self._streams if settled and one.called and not (gone and one.by_order)]
        self._forget([one for one in self._streams if one not in kept])
        for stream in self._streams:
            stream.called = False

    def reset(self) -> None:
        """Forget everything: a trajectory begins, or has ended."""
        self._forget(self._streams)

    @property
    def all_called(self) -> bool:
        """Whether each was called in this step."""
        return all(stream.called for stream in self._streams)

    @property
    def nbytes(self) -> int:
        """Bytes held between the steps."""
        return sum(stream.reuse.nbytes for stream in self._streams)

    def _forget(self, streams: list[Stream]) -> None:
        for stream in streams:
            stream.reuse.reset()
        self._streams = [stream for stream in self._streams if stream not in streams]
        # The first one is the user's own, which shows what is cached.
        self._free = sorted(
            [*self._free, *(stream.reuse for stream in streams)], key=lambda one: one is not self._reuse
        )

    def _copy(self) -> Reuse:
        shared = {id(self._cache): self._cache}
        features = {id(tensor): tensor.new_empty(0) for tensor in self._reuse.held}  # not worth copying
        copied = copy.deepcopy(self._reuse, shared | features)
        copied.reset()
        return copied


def _is_same(one: tuple, other: tuple) -> bool:
    """Whether two contexts are the same tensors, or the same parts of them."""
    return len(one) == len(other) and all(map(_is_same_tensor, one, other))


def _is_same_tensor(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one is other:
        return True
    return in_one_array(one, other) and (one.storage_offset(), one.shape, one.stride()) == (
        other.storage_offset(),
        other.shape,
        other.stride(),
    )
