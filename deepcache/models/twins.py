"""Copies that share their weights."""

import copy
from typing import TypeVar

from torch import nn

Whole = TypeVar("Whole")


def twin(whole: Whole, *parts: nn.Module) -> Whole:
    """The same with modules of its own around the same weights: what is done to one is not done to the other.

    Args:
        whole: a module, or what holds some.
        parts: the modules in it whose weights are shared.
    """
    weights = (tensor for part in parts for tensor in (*part.parameters(), *part.buffers()))
    return copy.deepcopy(whole, {id(tensor): tensor for tensor in weights})
