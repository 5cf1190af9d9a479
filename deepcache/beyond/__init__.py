"""What goes beyond the paper: forecasts and calibrated plans, and their comparison with other ways to be fast."""
