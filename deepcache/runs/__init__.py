"""The identity of a run: its model, sampler, method and seed, as a readable path."""
