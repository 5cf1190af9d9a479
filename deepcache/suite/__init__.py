"""A suite: its config, checked, and what follows from it. Imports nothing heavy: the workflow's graph is built here."""
