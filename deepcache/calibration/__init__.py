"""Calibration: which steps run fully and how kept features are weighted, found on a few uncached trajectories.

gram (what is recorded), residuals (what a prediction misses), optimise (the steps), choose (the rule that picks by
itself), plan (the file that a run names).
"""
