"""The same examples in every run, and none kept: a test passes or fails for all."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "project", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("project")
