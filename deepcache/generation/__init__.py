"""Images and videos from one's own prompts and pictures with checkpoints in diffusers' format."""
