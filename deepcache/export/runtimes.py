"""What runs an exported pass: torch itself, or onnxruntime."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from deepcache.errors import DeepCacheError, reason

Run = Callable[[Sequence[torch.Tensor]], list[torch.Tensor]]


def save_torch(program: torch.export.ExportedProgram, names: Sequence[str], path: Path) -> None:
    """Write a program as torch.export does."""
    torch.export.save(program, path)


def load_torch(path: Path, names: Sequence[str]) -> Run:
    """What runs such a file; DeepCacheError where it cannot be loaded."""
    logging.getLogger("torch._export").setLevel(logging.CRITICAL)  # it shows its own traceback beside the error
    try:
        run = torch.export.load(path).module()
    except Exception as error:  # of many kinds where it is missing or damaged
        raise DeepCacheError(f"{path}: torch cannot load it ({reason(error)}): export it anew") from error

    def called(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        with torch.no_grad():
            outputs = run(*tensors)
        return list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]

    return called


def save_onnx(program: torch.export.ExportedProgram, names: Sequence[str], path: Path) -> None:
    """Write a program as ONNX; DeepCacheError where what writes it is not installed."""
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise DeepCacheError(
            "ONNX is written by onnx and onnxscript: pip install onnx onnxscript onnxruntime"
        ) from error
    torch.onnx.export(program, input_names=list(names), dynamo=True, verbose=False).save(path)


def load_onnx(path: Path, names: Sequence[str]) -> Run:
    """What runs such a file; DeepCacheError where onnxruntime is not installed, or cannot load it."""
    try:
        import onnxruntime
    except ImportError as error:
        raise DeepCacheError("ONNX is run by onnxruntime: pip install onnxruntime, or onnxruntime-gpu") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(path, options, providers=onnxruntime.get_available_providers())
    except Exception as error:  # of its own kinds
        raise DeepCacheError(f"{path}: onnxruntime cannot load it ({reason(error)}): export it anew") from error
    taken = {one.name for one in session.get_inputs()}  # what changes nothing was left out

    def called(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        given = {name: one.detach().cpu().numpy() for name, one in zip(names, tensors, strict=True) if name in taken}
        return [torch.from_numpy(one).to(tensors[0].device) for one in session.run(None, given)]

    return called


# By name: ending of its files, what writes and what loads them.
RUNTIMES = {"onnx": (".onnx", save_onnx, load_onnx), "torch": (".pt2", save_torch, load_torch)}
