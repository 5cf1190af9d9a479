"""Datasets and prompt files: where they come from, and reading them."""
