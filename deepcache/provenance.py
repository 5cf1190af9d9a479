"""Where a number came from: library versions, device, its rounding and commit."""

import platform
import subprocess
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from deepcache.precision import exact, tf32

LIBRARIES = (
    "torch",
    "torchvision",
    "diffusers",
    "transformers",
    "open_clip_torch",
    "numpy",
    "scipy",
    "scikit-image",
    "pillow",
    "torch-fidelity",
    "clean-fid",
    "lpips",
    "fvcore",
)


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that can change a number."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def device_name(device: str | torch.device) -> str:
    """Name of the device as its maker writes it, for example "NVIDIA H200" or "Intel(R) Xeon(R) Processor"."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def git_commit() -> str | None:
    """Commit of this source tree, with "-dirty" after it where files differ from it; None outside a git checkout."""
    root = Path(__file__).resolve().parents[1]
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()


def provenance(device: str | torch.device, measured_exactly: bool = False) -> dict:
    """All of it, as plain values for a JSON file.

    Args:
        device: where the number was computed.
        measured_exactly: whether within deepcache.precision.exact.
    """
    with exact() if measured_exactly else nullcontext():
        rounded = tf32(device)
    return {
        "versions": library_versions(),
        "device": device_name(device),
        "tf32": rounded,
        "threads": torch.get_num_threads(),
        "commit": git_commit(),
    }
