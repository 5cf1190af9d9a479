"""Target `beyond`: every way to cache at equal MACs, and what the rule gains over the paper's two."""
