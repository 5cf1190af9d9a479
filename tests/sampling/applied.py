"""A method on a U-Net, as the workflow applies it."""

from deepcache.methods.schedule import Place


def cached(unet, method, sampler, **place):
    """A context in which the U-Net runs as the method says over a trajectory of the sampler."""
    return method.resolve(Place(sampler.schedule_length, method.branch, sampler.slug, **place)).applied(unet)
