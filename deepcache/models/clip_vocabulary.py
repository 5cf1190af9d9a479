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


def clip_tokenizer(tokens: int = VOCABULARY_SIZE, context: int = CONTEXT):
    """The tokenizer of Stable Diffusion's text encoder, ViT-L/14: a transformers.CLIPTokenizer.

    Its ids are open_clip's on text that needs none of the repairs that open_clip makes first (ftfy, HTML entities).

    Args:
        tokens: size of the vocabulary; a smaller one cuts rare words into more pieces.
        context: longest text, in tokens.

    Raises:
        DeepCacheError: see `clip_vocabulary`.
    """
    from transformers import CLIPTokenizer

    vocabulary, merges = clip_vocabulary(tokens)
    # From files, since the constructor's arguments are not the same in transformers 4 and 5.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
        Path(folder, "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
        return CLIPTokenizer.from_pretrained(folder, model_max_length=context)


def clip_vocabulary(tokens: int = VOCABULARY_SIZE) -> tuple[dict[str, int], list[str]]:
    """Return the ids of all tokens and the merges, two symbols with a space between, most frequent first.

    The tokens are, in this order, a symbol for each byte, the same at the end of a word, what each merge makes, and
    the two special ones.

    Args:
        tokens: how many there are: all 49,408 of CLIP, or fewer (514 at least) of which the rarest merges are left out.

    Raises:
        DeepCacheError: if the package open_clip_torch is not there or ships another vocabulary.
    """
    from tokenizers.pre_tokenizers import ByteLevel

    package = importlib.util.find_spec("open_clip")  # importing it would take ten seconds
    path = Path(package.origin).with_name(MERGES) if package else Path(MERGES)
    if not path.is_file():
        raise DeepCacheError(f"{path}: no such file: install open_clip_torch, which ships CLIP's vocabulary")
    symbols = sorted(ByteLevel.alphabet())
    count = tokens - 2 * len(symbols) - len(SPECIAL)
    merges = gzip.decompress(path.read_bytes()).decode().split("\n")[1 : count + 1]  # after a line with the version
    made = (merge.replace(" ", "") for merge in merges)
    names = [*symbols, *(symbol + WORD_END for symbol in symbols), *made, *SPECIAL]
    vocabulary = {token: number for number, token in enumerate(names)}
    if len(vocabulary) != tokens:
        raise DeepCacheError(f"{path}: makes {len(vocabulary)} tokens, not {tokens}: not CLIP's vocabulary")
    return vocabulary, merges
