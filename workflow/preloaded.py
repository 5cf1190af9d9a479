"""Run a program of the workflow in a process that has imported torch and diffusers already.

`preloaded.py SCRIPT ARGUMENTS...` behaves as `python SCRIPT ARGUMENTS...` does: same files, same output, same exit
status, a process of its own. Only with `--log FILE` among the arguments all that it prints goes to that file and not to
the screen, which belongs to Snakemake's view of all jobs.

Importing torch, diffusers and torch-fidelity takes some ten seconds on a small machine, and the digits suite has a
hundred short jobs; so while the workflow runs, a server (`preloaded.py --serve SOCKET`, started by the Snakefile)
imports them once and forks for each job. Without a server (another machine, a script run by hand) the program is run
the ordinary way.
"""

import array
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import threading
import warnings
from pathlib import Path

VARIABLE = "DEEPCACHE_PRELOADED"  # the server's sys.prefix and its socket
ROOT = str(Path(__file__).resolve().parents[1])
# Libraries only, never the project's own modules: those may be edited while the workflow runs.
MODULES = (
    "torch",
    "numpy",
    "pandas",
    "safetensors.torch",
    "diffusers.models.unets.unet_2d",
    "diffusers.models.unets.unet_2d_condition",
    "diffusers.schedulers.scheduling_ddim",
    "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
    "transformers.models.clip.modeling_clip",
    "open_clip",
    "lpips",
    "skimage.metrics",
    "torch_fidelity",
    "fvcore.nn",
    "matplotlib.pyplot",
    "tqdm",
)


def serve(path: str) -> None:
    """Fork a process for each request until the parent, the workflow, is gone."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # no threads in the process that forks
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the jobs; the server ends with the workflow
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    parent = os.getppid()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen(64)
        server.settimeout(1.0)
        while os.getppid() == parent:
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            _import_modules()
            if os.fork() == 0:
                server.close()
                _work(connection)
            connection.close()
    Path(path).unlink(missing_ok=True)
    Path(path).parent.rmdir()


def _import_modules() -> None:
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # else asking for a GPU would start CUDA, which survives no fork
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in MODULES:
            if name not in sys.modules:
                importlib.import_module(name)


def _work(connection: socket.socket) -> None:
    """Be the job: take over the client's output, folder and environment, run the program, report its exit status."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        connection.setblocking(True)
        request, descriptors = _receive(connection)
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        threading.Thread(target=_die_with_client, args=(connection,), daemon=True).start()
        status = _run(request["arguments"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            connection.sendall(bytes([status]))
        finally:
            os._exit(status)


def _run(arguments: list[str]) -> int:
    sys.argv = arguments
    sys.path[0] = str(Path(arguments[0]).resolve().parent)
    sys.path.insert(1, ROOT)
    try:
        runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _die_with_client(connection: socket.socket) -> None:
    """End this process when the client is gone, however it went: a killed job must not go on."""
    if connection.recv(1) == b"":
        os.kill(os.getpid(), signal.SIGKILL)


def _receive(connection: socket.socket) -> tuple[dict, list[int]]:
    length, descriptors, _, _ = socket.recv_fds(connection, 8, 3)
    remaining, chunks = int.from_bytes(length, "big"), []
    while remaining:
        chunk = connection.recv(min(remaining, 65536))
        if not chunk:
            raise ConnectionError("the client went away")
        chunks.append(chunk)
        remaining -= len(chunk)
    return json.loads(b"".join(chunks)), descriptors


def ask(path: str, arguments: list[str]) -> int | None:
    """Have the server run a program; returns its exit status, or None where there is no server."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(path)
        except OSError:
            return None
        request = {"arguments": arguments, "folder": str(Path.cwd()), "environment": dict(os.environ)}
        message = json.dumps(request).encode()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
        connection.sendmsg([len(message).to_bytes(8, "big")], rights)
        connection.sendall(message)
        answer = connection.recv(1)
    if not answer:
        print(f"{arguments[0]}: its process was killed", file=sys.stderr)
        return 1
    return answer[0]


def _print_to_log(arguments: list[str]) -> None:
    """From here on print to the program's `--log`, if it has one; what its process inherits included."""
    if "--log" not in arguments[:-1]:
        return
    path = Path(arguments[arguments.index("--log") + 1])
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())


def main() -> None:
    """Serve, or run one program."""
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
        return
    arguments = sys.argv[1:]
    _print_to_log(arguments)
    prefix, _, path = os.environ.get(VARIABLE, "").rpartition(os.pathsep)
    # Another prefix is another environment, with other versions of the libraries.
    try:
        status = ask(path, arguments) if prefix == sys.prefix else None
    except KeyboardInterrupt:
        sys.exit("interrupted")
    if status is None:
        # A conda environment of Snakemake's has the libraries but not this project.
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH")]))
        os.execv(sys.executable, [sys.executable, *arguments])
    sys.exit(status)


if __name__ == "__main__":
    main()
