"""Schedules and reuses that go beyond the paper, by name; see deepcache.methods."""
