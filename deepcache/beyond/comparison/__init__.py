"""Target beyond: every way to cache, and other ways to be fast, at equal cost."""
