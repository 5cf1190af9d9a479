"""From noise to images: samplers as pure functions, noise of each image, shards of samples."""
