"""From a budget to a plan: sampler, steps, branch, full steps and weights with the least error at a cost."""
