"""Prompts out of the files in which they are published: PartiPrompts, COCO captions, MLPerf's, plain text."""

import csv
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from deepcache.errors import DeepCacheError, reason

KINDS = {".tsv": "partiprompts", ".json": "coco", ".txt": "text"}


def read_prompts(path: str | Path, kind: str | None = None, limit: int | None = None) -> list[str]:
    """Read prompts in the order of their file, without the blanks around them.

    Args:
        path: a UTF-8 file.
        kind: `partiprompts` (tab-separated, with a header that names the column Prompt), `coco` (captions as in
            captions_val2017.json: for each image, in the order of "images", the caption that stands first in
            "annotations"), `captions` (tab-separated as pandas writes it, with a header that names the column caption:
            a cell may be in quotation marks) or `text` (a prompt a line); None: by the suffix, .tsv (partiprompts),
            .json (coco) or .txt (text).
        limit: read only the first so many.

    Returns:
        The prompts; none is empty.

    Raises:
        DeepCacheError: if the file cannot be read as that kind, lacks a prompt somewhere or has fewer than `limit`.
    """
    path = Path(path)
    read = _reader(path, kind)
    if limit is not None and limit < 1:
        raise DeepCacheError(f"{path}: the limit must be at least 1, not {limit}")
    prompts = read(path, _read_text(path))
    if not prompts:
        raise DeepCacheError(f"{path}: holds no prompts")
    if limit is not None and limit > len(prompts):
        raise DeepCacheError(f"{path}: holds {len(prompts)} prompts, {limit} are asked for: lower the limit")
    return prompts[:limit]


def _reader(path: Path, kind: str | None) -> Callable[[Path, str], list[str]]:
    readers = {"partiprompts": _partiprompts, "coco": _coco, "captions": _captions, "text": _text}
    if kind is None:
        kind = KINDS.get(path.suffix.lower())
        if kind is None:
            raise DeepCacheError(f"{path}: the suffix is none of {', '.join(KINDS)}: say which kind of file it is")
    if kind not in readers:
        raise DeepCacheError(f"{path}: kind must be one of {', '.join(readers)}, not {kind!r}")
    return readers[kind]


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DeepCacheError(f"{path}: {error.strerror}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Where there is a byte order mark, the decoder counts from behind it.
        offset = error.start + len(content) - len(error.object)
        line = content.count(b"\n", 0, offset) + 1
        raise DeepCacheError(f"{path}: line {line}, byte {offset}: not UTF-8: save it as UTF-8") from error
    if not text.strip():
        raise DeepCacheError(f"{path}: the file is empty")
    return text


def _lines(text: str) -> list[str]:
    """Lines as editors count them: splitlines() would also break at characters that may stand in a prompt."""
    return text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")


def _text(path: Path, text: str) -> list[str]:
    return [_filled(line, f"{path}: line {number} is empty") for number, line in enumerate(_lines(text), 1)]


def _partiprompts(path: Path, text: str) -> list[str]:
    """No quoting: quotation marks belong to the prompts, and a tab within them ends a prompt as any other does."""
    rows = enumerate((line.split("\t") for line in _lines(text)), 1)
    return _column(path, "Prompt", rows, "write no tab within a prompt, also not in quotation marks")


def _captions(path: Path, text: str) -> list[str]:
    """With quoting: a cell in quotation marks may hold a tab, a line's end, and a quotation mark, written twice."""
    reader = csv.reader(io.StringIO(text, newline=""), "excel-tab", strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        place = f"{path}: line {reader.line_num}"
        raise DeepCacheError(f"{place}: {error}: close quotation marks, and write those in a cell twice") from error
    return _column(path, "caption", rows, "write a cell that holds a tab in quotation marks")


def _column(path: Path, column: str, rows: Iterable[tuple[int, list[str]]], advice: str) -> list[str]:
    """The cells of a column, out of the rows with their lines, the header's first; `advice` is for one that is long."""
    (_, header), *cells = rows
    names = [name.strip() for name in header]
    if column not in names:
        raise DeepCacheError(f"{path}: line 1: no column {column!r} among {', '.join(map(repr, names))}")
    place, prompts = names.index(column), []
    for number, row in cells:
        if len(row) > len(names):
            raise DeepCacheError(
                f"{path}: line {number} has {len(row)} cells, but line 1 names {len(names)} columns: {advice}"
            )
        prompts.append(_filled("".join(row[place : place + 1]), f"{path}: line {number} has no prompt"))
    return prompts


def _coco(path: Path, text: str) -> list[str]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise DeepCacheError(f"{path}: line {error.lineno}, column {error.colno}: not JSON ({error.msg})") from error
    except RecursionError as error:
        raise DeepCacheError(f"{path}: not JSON ({reason(error)})") from error
    try:
        images = [image["id"] for image in content["images"]]
        captions = {}
        for annotation in content["annotations"]:
            captions.setdefault(annotation["image_id"], annotation["caption"])
        return [_filled(captions.get(image, ""), f"{path}: image {image} has no caption") for image in images]
    except (KeyError, TypeError, AttributeError) as error:
        wanted = '"images" with "id", "annotations" with "image_id" and "caption"'
        raise DeepCacheError(f"{path}: not COCO captions, which have {wanted}") from error


def _filled(prompt: str, complaint: str) -> str:
    prompt = prompt.strip()
    if not prompt:
        raise DeepCacheError(f"{complaint}: every prompt must have some text")
    return prompt
