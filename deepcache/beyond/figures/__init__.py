"""Pictures of target beyond."""
