"""A method of one instance alone, which copies and pickles of it do not have."""

import functools
import types
from collections.abc import Callable


class InstanceMethod:
    """Takes the place of a method on one instance; a copy of the instance has its class's method instead.

    Args:
        instance: of which it will be an attribute.
        name: of the method.
        call: what it does.
        wrapped: what it stands for, whose signature and words it has.
        owner: for whom it is there.
    """

    def __init__(self, instance: object, name: str, call: Callable, wrapped: Callable, owner: object = None):
        functools.update_wrapper(self, wrapped)
        self._instance, self._name, self._call = instance, name, call
        self.owner = owner

    def __call__(self, *args, **kwargs):
        """Do it."""
        return self._call(*args, **kwargs)

    def __deepcopy__(self, memo: dict) -> Callable:
        """The copy's own method: the copy is in the memo before what it holds is copied.

        Who copies what an instance holds, to put it back later (panorama pipelines), finds this again.
        """
        twin = memo.get(id(self._instance))
        return self if twin is None else _own_method(twin, self._name)

    def __reduce__(self):
        return _own_method, (self._instance, self._name)


def _own_method(instance: object, name: str) -> Callable:
    return types.MethodType(getattr(type(instance), name), instance)
