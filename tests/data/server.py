"""A server on this machine that fails as told, with one file, and as a hub with one repository, owner/name."""

import hashlib
import sys
from collections import namedtuple
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(i * i % 251 for i in range(300_000))
OTHER = CONTENT[::-1]
DIGEST = hashlib.sha256(CONTENT).hexdigest()
FILES = {"model_index.json": b"{}", "unet/weights.safetensors": CONTENT, "vae/weights.safetensors": b"vae"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_do_not_print_this"
Usage = namedtuple("Usage", "total used free")


@dataclass
class Reply:
    """An answer that is given instead of the file."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Break:
    """The right answer, but the connection ends after some bytes of it."""

    after: int


class Stall(Break):
    """As Break, but the connection stays open and silent until the test ends."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 10

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self.answer(head=True)

    def do_GET(self):
        self.answer()

    def answer(self, head=False):
        server, path = self.server, self.path.partition("?")[0]
        self.record = {"method": self.command, "path": path, "headers": self.headers, "sent": 0}
        server.requests.append(self.record)
        troubles = server.troubles.get(path, [])
        trouble = troubles.pop(0) if troubles and not head else None
        if isinstance(trouble, Reply) or path not in server.files:
            trouble = trouble or server.refusal
            self.send(
                trouble.status, {"Content-Length": "6", "Connection": "close", **trouble.headers}, b"error\n", head
            )
            return
        self.file(server.files[path], trouble, head)

    def file(self, content, trouble, head):
        tag = f'"{hashlib.sha1(content).hexdigest()}"'
        headers = {"ETag": tag} if self.server.tags else {}
        headers |= self.server.headers | self.server.extra.get(self.path, {})
        status, wanted = 200, self.headers.get("Range")
        if wanted and self.server.ranges and (not self.server.if_range or self.headers.get("If-Range") == tag):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            status, content = 206, content[start:]
        if self.server.lengths:
            headers["Content-Length"] = str(len(content))
        else:
            self.close_connection = True
        self.send(status, headers, content, head, trouble)

    def send(self, status, headers, body, head, trouble=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if head:
            return
        body = body if trouble is None else body[: trouble.after]
        self.record["sent"] = len(body)
        self.wfile.write(body)
        if trouble is not None:
            self.close_connection = True
        if isinstance(trouble, Stall):
            self.wfile.flush()
            self.server.over.wait(10)


class Server(ThreadingHTTPServer):
    """Its threads end with the test; it says nothing where a client hangs up."""

    daemon_threads = False

    def handle_error(self, *arguments):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(*arguments)


def is_alone(path):
    """Whether the file is there, right, and nothing else beside it."""
    return path.read_bytes() == CONTENT and list(path.parent.iterdir()) == [path]


def contents(folder):
    """The files of a folder, without the library's own notes."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in paths.items() if not name.startswith(".cache/")}
