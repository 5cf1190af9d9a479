"""What is lost at a speed: caching as it is tuned beside fewer steps and others' methods, at equal measured time."""
