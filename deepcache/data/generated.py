"""What generate.py writes beside the images that it makes."""

import hashlib
import json
from collections.abc import Sequence

RECORD = "generation.json"


def prompts_digest(prompts: Sequence[str]) -> str:
    """SHA-256 of the prompts, by which the record names them."""
    return hashlib.sha256(json.dumps(list(prompts)).encode()).hexdigest()
