"""Measures of cost and of sample quality."""
