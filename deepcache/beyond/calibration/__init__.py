"""Calibration: full steps and weights of kept features, found on noise of their own, as a plan."""
