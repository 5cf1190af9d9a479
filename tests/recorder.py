"""In place of CUDA graphs, on the CPU."""

from torch.utils import _pytree as pytree


class Replays:
    """A recorder whose replays compute anew from the recorded inputs into the recorded output, as a graph does.

    It counts; where it is given an error, it fails with that.
    """

    def __init__(self, error=None):
        self.recorded = self.replayed = 0
        self.error = error

    def __call__(self, function):
        if self.error is not None:
            raise self.error
        self.recorded += 1
        output = function()

        def replay():
            self.replayed += 1
            for place, new in zip(pytree.tree_leaves(output), pytree.tree_leaves(function()), strict=True):
                if place is not None:
                    place.copy_(new)

        return output, replay
