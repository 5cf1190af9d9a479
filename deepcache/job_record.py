"""What a job of the workflow read and wrote, with checksums: what an audit compares with what is there."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from deepcache.files import sha256, write_json

# Below the folder of the run: what jobs make. Downloads, and data elsewhere, are vouched for by their manifests.
MADE, DOWNLOADS = "results", "downloads"
# Below the project's folder: what it brings. Code is told apart by its own digest.
BROUGHT = ("config", "resources")
CODE = (".py", ".pyc")
PROJECT = "$DEEPCACHE_ROOT"  # stands for the project's folder where the run is in another one


class JobRecord:
    """Notes the files that this process opens to read, and those that it gives their names when they are whole.

    What a library opens past Python (safetensors, LMDB) is not seen; such files are listed in manifests.
    """

    def __init__(self, root: Path):
        """Begin to note.

        Args:
            root: the project's folder.
        """
        self._root, self._folder = root.resolve(), Path.cwd()
        self._read: set[str] = set()
        self._named: set[str] = set()
        sys.addaudithook(self._note)

    def write(self, path: Path, code: str) -> None:
        """Write the program's `arguments` and `code`, and `inputs` and `outputs`, SHA-256 by name, as JSON.

        Args:
            path: the record.
            code: digests of the program and of what else decides what it does, `file=digest` each.
        """
        outputs = self._checksums(self._named)
        inputs = {name: digest for name, digest in self._checksums(self._read).items() if name not in outputs}
        about = {"arguments": sys.argv[1:], "code": code}
        write_json(path, {**about, "inputs": inputs, "outputs": outputs})

    def _note(self, event: str, arguments: tuple) -> None:
        if event == "open":
            path, mode, flags = arguments
            reads = not {*"wax+"} & {*mode} if isinstance(mode, str) else not flags & (os.O_WRONLY | os.O_RDWR)
            if reads and isinstance(path, str | bytes):
                self._read.add(os.fsdecode(path))
        elif event == "os.rename":
            self._named.add(os.fsdecode(arguments[1]))

    def _checksums(self, paths: Iterable[str]) -> dict[str, str]:
        found = {}
        for path in map(Path, sorted(paths)):
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                name = self._name(file)
                if name is not None and file.is_file():
                    found[name] = sha256(file)
        return found

    def _name(self, path: str | Path) -> str | None:
        """A file as records name it; None if it is not among those that are recorded."""
        path = Path(os.path.abspath(self._folder / path))  # noqa: PTH100 - results/ may be a link to another disk
        if path.suffix in CODE:
            return None
        below = path.relative_to(self._folder).parts if path.is_relative_to(self._folder) else ()
        if MADE in below[:-1]:
            return None if below[below.index(MADE) + 1] == DOWNLOADS else str(Path(*below))
        if path.is_relative_to(self._root) and path.relative_to(self._root).parts[0] in BROUGHT:
            name = path.relative_to(self._root)
            return str(name) if self._folder == self._root else f"{PROJECT}/{name}"
        return None
