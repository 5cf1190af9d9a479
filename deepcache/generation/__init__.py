"""Images from one's own prompts and pictures with any Stable Diffusion checkpoint."""
