"""CLIP's tokenizer without a download: open_clip ships the vocabulary (Radford et al. 2021), as a list of merges."""

import gzip
import importlib.util
import json
import tempfile
from pathlib import Path

from deepcache.errors import DeepCacheError

MERGES = "bpe_simple_vocab_16e6.txt.gz"
VOCABULARY_SIZE = 49408
CONTEXT = 77
SPECIAL = ("<|startoftext|>", "<|endoftext|>")
WORD_END = "</w>"


def clip_tokenizer():
    """The tokenizer of Stable Diffusion's text encoder, ViT-L/14: a transformers.CLIPTokenizer.

    Its ids are open_clip's on text that needs none of the repairs that open_clip makes first (ftfy, HTML entities).

    Raises:
        DeepCacheError: see `clip_vocabulary`.
    """
    from transformers import CLIPTokenizer

    vocabulary, merges = clip_vocabulary()
    # From files, since the constructor's arguments are not the same in transformers 4 and 5.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "vocab.json").write_text(json.dumps(vocabulary))
        Path(folder, "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
        return CLIPTokenizer.from_pretrained(folder, model_max_length=CONTEXT)


def clip_vocabulary() -> tuple[dict[str, int], list[str]]:
    """Return the ids of the 49,408 tokens and the merges, two symbols with a space between, most frequent first.

    The tokens are, in this order, a symbol for each byte, the same at the end of a word, what each merge makes, and
    the two special ones.

    Raises:
        DeepCacheError: if the package open_clip_torch is not there or ships another vocabulary.
    """
    from tokenizers.pre_tokenizers import ByteLevel

    package = importlib.util.find_spec("open_clip")  # importing it would take ten seconds
    path = Path(package.origin).with_name(MERGES) if package else Path(MERGES)
    if not path.is_file():
        raise DeepCacheError(f"{path}: no such file: install open_clip_torch, which ships CLIP's vocabulary")
    symbols = sorted(ByteLevel.alphabet())
    count = VOCABULARY_SIZE - 2 * len(symbols) - len(SPECIAL)
    merges = gzip.decompress(path.read_bytes()).decode().split("\n")[1 : count + 1]  # after a line with the version
    made = (merge.replace(" ", "") for merge in merges)
    tokens = [*symbols, *(symbol + WORD_END for symbol in symbols), *made, *SPECIAL]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    if len(vocabulary) != VOCABULARY_SIZE:
        raise DeepCacheError(f"{path}: makes {len(vocabulary)} tokens, not {VOCABULARY_SIZE}: not CLIP's vocabulary")
    return vocabulary, merges
