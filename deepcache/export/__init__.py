"""The two passes of a cached U-Net as programs that other runtimes run."""
