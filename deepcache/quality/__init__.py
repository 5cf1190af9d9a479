"""How good samples are: features, their statistics, FID and the like, CLIP score, fidelity to uncached samples."""
