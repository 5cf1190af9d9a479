"""A method on a U-Net, as the workflow applies it."""

from deepcache.methods.schedule import Place


def cached(model, method, sampler, **place):
    """A context in which the U-Net runs as the method says over a trajectory of the sampler."""
    place = Place(model.schedule_length(sampler), method.branch, sampler.slug, **place)
    return method.resolve(place).applied(model.unet)
