"""A folder of images or videos that can be filled in several goes."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from deepcache.data.generated import RECORD
from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE, atomic, write_json
from deepcache.sampling.shards import settings_hash

PNG_END = b"IEND\xaeB`\x82"  # a PNG's last chunk and its checksum


class ImageFolder:
    """Images `00000.png`, `00001.png`, ... of one set of settings, and a record of how they were made.

    Videos are animated PNG, which loses nothing; a frame that equals the one before is shown longer instead. The record
    is there before the first image: what a killed run leaves can be completed.

    Args:
        folder: made where it is missing.
        settings: what decides the images, as plain values.
        about: what else the record says of them.
        count: number of images.
        fps: frames a second of videos; None: they are images.

    Raises:
        DeepCacheError: if the folder holds something else, or images of other settings.
    """

    def __init__(self, folder: str | Path, settings: dict, about: dict, count: int, fps: int | None = None):
        self._folder, self._count, self._fps = Path(folder), count, fps
        self.what = "images" if fps is None else "videos"
        self._record_path = self._folder / RECORD
        self._runs: list[dict] = []
        if self._record_path.exists():
            self._runs = self._read_runs(settings)
        elif self._folder.is_file() or (self._folder.is_dir() and any(map(_is_content, self._folder.iterdir()))):
            raise DeepCacheError(f"{folder} exists and holds no {RECORD}: give another --output")
        self._record = {"settings": settings, "settings_hash": settings_hash(settings), **about, "images": count}

    def missing(self) -> list[int]:
        """Indices of the images that are not there, or not whole, as after a power failure."""
        return [index for index in range(self._count) if not self._is_whole(index)]

    def begin(self, provenance: dict) -> None:
        """Add a run to the record: by whom the next images are made."""
        self._runs.append({"images": 0, "seconds": 0.0, "images_per_second": None, **provenance})
        self._write_record()

    def add(self, indices: Sequence[int], images: np.ndarray, seconds: float) -> None:
        """Write those of the images that are missing, each whole or not at all.

        Args:
            indices: which they are.
            images: uint8, shape (len(indices), H, W, 3); of videos (len(indices), frames, H, W, 3).
            seconds: since the run began.
        """
        for index, image in zip(indices, images, strict=True):
            if not self._is_whole(index):
                with atomic(self._path(index)) as temporary:
                    self._save(image, temporary)
        run = self._runs[-1]
        made = run["images"] + len(indices)
        run |= {"images": made, "seconds": round(seconds, 3), "images_per_second": round(made / seconds, 4)}
        self._write_record()

    def _save(self, image: np.ndarray, path: Path) -> None:
        if self._fps is None:
            Image.fromarray(image).save(path)
            return
        first, *others = map(Image.fromarray, image)
        first.save(path, format="PNG", save_all=True, append_images=others, duration=1000 / self._fps, loop=0)

    def _is_whole(self, index: int) -> bool:
        path = self._path(index)
        if not path.is_file():
            return False
        with path.open("rb") as file:  # its end alone: a folder may hold thousands, and videos
            file.seek(max(path.stat().st_size - len(PNG_END), 0))
            return file.read() == PNG_END

    def _path(self, index: int) -> Path:
        return self._folder / f"{index:05d}.png"

    def _write_record(self) -> None:
        write_json(self._record_path, {**self._record, "runs": self._runs})

    def _read_runs(self, settings: dict) -> list[dict]:
        try:
            record = json.loads(self._record_path.read_text(encoding="utf-8"))
            before, runs = dict(record["settings"]), list(record["runs"])
        except (*UNREADABLE, TypeError) as error:
            raise DeepCacheError(f"{self._record_path}: cannot be read ({error}): give another --output") from error
        differing = sorted(key for key in {*before, *settings} if before.get(key) != settings.get(key))
        if differing:
            what = "videos" if "frames" in before else "images"
            changes = ", ".join(_change(key, before.get(key), settings.get(key)) for key in differing)
            raise DeepCacheError(f"{self._folder} holds {what} of other settings ({changes}): give another --output")
        return runs


def _is_content(path: Path) -> bool:
    return not path.name.startswith(".")  # hidden: what `atomic` leaves where it is killed


def _change(key: str, before, now) -> str:
    """One difference, with its values where they are short: not checksums and lists."""
    values = (json.dumps(before), json.dumps(now))
    return f"{key} was {values[0]}, not {values[1]}" if max(map(len, values)) <= 40 else key
