"""Training of the digits models."""
