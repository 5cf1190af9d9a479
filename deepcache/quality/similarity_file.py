"""The file in which the similarity of a layer's features is kept, with what they are of."""

import json
from pathlib import Path

import numpy as np

from deepcache.files import atomic
from deepcache.provenance import provenance
from deepcache.quality.feature_similarity import FeatureSimilarity
from deepcache.sampling.request import Request


def write_similarity(path: Path, similarity: FeatureSimilarity, request: Request, layer: str, images: int) -> None:
    """Write the matrix, the maps and what they are of, as npz, whole or not at all."""
    about = {
        "checkpoint": request.manifest["name"],
        "weights": request.manifest["source"],
        "sampler": request.sampler.slug,
        "layer": layer,
        "images": images,
        "seed": request.seed,
        **provenance(request.device),
    }
    with atomic(path) as temporary:
        np.savez_compressed(
            temporary, matrix=similarity.matrix(), maps=similarity.maps, about=np.array(json.dumps(about))
        )
