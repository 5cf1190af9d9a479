"""The weights of the polynomial through the features of the last full steps, as `Forecast` has them."""

from collections.abc import Sequence

from deepcache.beyond.caching.forecast import lagrange_weights


def polynomial_weights(full_steps: Sequence[int], num_steps: int, order: int) -> dict[int, dict[int, float]]:
    """For each shallow step, full step -> weight of its feature, as `Weighted` takes them; order 0 holds the last one.

    Args:
        full_steps: k of T, starting with 0.
        num_steps: T.
        order: degree of the polynomial; less where there are fewer full steps.
    """
    found = {}
    for i, (last, end) in enumerate(zip(full_steps, [*full_steps[1:], num_steps], strict=True)):
        nodes = list(full_steps[max(0, i - order) : i + 1])
        for step in range(last + 1, end):
            found[step] = dict(zip(nodes, lagrange_weights(nodes, step), strict=True))
    return found
