"""A CUDA device that is not there: torch's fake tensors say what would lie on it, and their values are kept aside.

The CPU's tensors stay what they are. An operation on the device goes through torch's FakeTensorMode, which refuses
tensors of different devices, and then through the CPU, with the values: so a program runs to its end, with the numbers
that it would have. All that makes the host wait for the device is noted with the place in the project that asked.
"""

import functools
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import torch
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensor, FakeTensorMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import _disable_current_modes

from deepcache.precision import tf32

ROOT = Path(__file__).resolve().parents[2]
DEVICE = torch.device("cuda:1")  # not the current one: what is left on "cuda" alone lies elsewhere

aten = torch.ops.aten
FETCHING = (aten._local_scalar_dense.default, aten.equal.default)
ROUNDED = {aten.convolution.default, aten.mm.default, aten.addmm.default, aten.bmm.default}
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default}


def batch_norm(*arguments) -> tuple[torch.Tensor, ...]:
    """What cuDNN returns, but for the space that it reserves for the backward pass."""
    return *torch.native_batch_norm(*arguments), torch.empty(0, dtype=torch.uint8)


CUDNN = {aten.cudnn_batch_norm.default: batch_norm}  # what the CPU has by another name


class Wait(AssertionError):
    """The host would wait for the device where it must not."""


class AbsentDevice(FakeTensorMode):
    """All of this process's CUDA devices; use it by `absent_device`.

    Args:
        allowed: whether the host may wait for the device at a place; where not, Wait is raised there.

    Attributes:
        waits: how often it did, by place.
        rounded: the kinds of operations that TF32 might round while convolutions and products of matrices ran.
        operations: how many ran on the device.
        trajectories: how many were sampled, where somebody counts them.
        chosen: the device that the program chose. It does not become the current one, so that what is left on "cuda"
            alone lies elsewhere.
    """

    def __init__(self, allowed: Callable[[str], bool]):
        self._thread = threading.local()
        super().__init__(allow_non_fake_inputs=True)
        self.waits: Counter[str] = Counter()
        self.rounded: set[tuple[str, ...]] = set()
        self.operations = self.trajectories = 0
        self.chosen: torch.device | None = None
        self._allowed = allowed

    # FakeTensorMode is not made for threads, but images are fetched by one: each has a state of its own.

    @property
    def in_kernel_invocation(self) -> bool:
        return getattr(self._thread, "in_kernel", False)

    @in_kernel_invocation.setter
    def in_kernel_invocation(self, value: bool) -> None:
        self._thread.in_kernel = value

    @property
    def enter_stack(self) -> list:
        return self._thread.__dict__.setdefault("entered", [])

    @enter_stack.setter
    def enter_stack(self, value: list) -> None:
        self._thread.entered = value

    @property
    def avoid_device_init(self) -> bool:
        """There is none, whatever torch.cuda says."""
        return True

    def choose(self, device: torch.device) -> None:
        """Note that it was chosen."""
        self.chosen = device

    def wait(self, what: str) -> None:
        """Note that the host waits here."""
        where = place()
        self.waits[where] += 1
        if not self._allowed(where):
            raise Wait(f"{where} waits for the device: {what}")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if getattr(self._thread, "faking", False):  # what an operation consists of
            return super().__torch_dispatch__(func, types, args, kwargs or {})
        kwargs = kwargs or {}
        found = list(leaves((args, kwargs)))
        there = next((leaf.device for leaf in found if isinstance(leaf, FakeTensor)), None)
        named = next(filter(is_cuda, found), None)
        if there is None and named is None:
            return func(*args, **kwargs)
        if (
            torch.is_inference_mode_enabled() and func.namespace == "aten" and func._can_decompose()
        ):  # elsewhere torch has done so already
            with self:
                return func.decompose(*args, **kwargs)
        self.operations += 1
        if func in ROUNDED and any(isinstance(leaf, FakeTensor) and leaf.dtype is torch.float32 for leaf in found):
            self.rounded.add(tuple(tf32(DEVICE)))
        if reason := waiting(func, args, kwargs):
            self.wait(reason)
        own_args, own_kwargs = pytree.tree_map(value_of, (args, kwargs))
        if func is aten.copy_.default and not isinstance(args[0], FakeTensor):
            func(*own_args, **own_kwargs)
            return args[0]
        if func in FETCHING or to_host(kwargs):
            return func(*own_args, **own_kwargs)
        try:
            fakes = None if there is None else self._faked(func, types, args, kwargs)
        except DynamicOutputShapeException:
            self.wait(f"{func} has a shape that depends on values")
            fakes = None
        if func is aten.native_group_norm.default:  # a CPU's takes no other; of what lies there torch sees to it
            own_args = (own_args[0].contiguous(), *own_args[1:])
        values = CUDNN.get(func, func)(*own_args, **own_kwargs)
        if fakes is None:
            return pytree.tree_map_only(torch.Tensor, lambda value: self._placed(value, there or named), values)
        for fake, value in zip(leaves(fakes), leaves(values), strict=True):
            if isinstance(fake, FakeTensor) and not hasattr(fake, "value"):
                fake.value = value
        return fakes

    def storage(self, fake: FakeTensor) -> torch.UntypedStorage:
        """That of the values, whose address tells tensors from each other."""
        faking = getattr(self._thread, "faking", False)
        return torch.Tensor.untyped_storage(fake if faking else fake.value)

    def _faked(self, func, types, args, kwargs):
        self._thread.faking = True
        try:
            return super().__torch_dispatch__(func, types, args, kwargs)
        finally:
            self._thread.faking = False

    def _placed(self, value: torch.Tensor, device: torch.device) -> FakeTensor:
        bare = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
        fake = FakeTensor(self, bare, device)
        fake.value = value
        return fake


def leaves(tree) -> Iterator:
    """What is in an operation's arguments or results."""
    if isinstance(tree, (list, tuple)):
        for one in tree:
            yield from leaves(one)
    elif isinstance(tree, dict):
        yield from leaves(list(tree.values()))
    else:
        yield tree


def to_host(kwargs: dict) -> bool:
    device = kwargs.get("device")
    return device is not None and device.type == "cpu"


def is_cuda(value) -> bool:
    return isinstance(value, torch.device) and value.type == "cuda"


def value_of(leaf):
    """What takes an argument's place on the CPU."""
    if isinstance(leaf, FakeTensor):
        return leaf.value
    return torch.device("cpu") if is_cuda(leaf) else leaf


def waiting(func, args: tuple, kwargs: dict) -> str | None:
    """Why an operation waits for the device, if it does."""
    if func in FETCHING:
        return f"{func} fetches a value"
    if func is aten.copy_.default:
        target, source = (isinstance(one, FakeTensor) for one in args[:2])
        asynchronous = len(args) > 2 and args[2]
        return _copying(source, target, asynchronous or kwargs.get("non_blocking"))
    if func is aten._to_copy.default:
        source = isinstance(args[0], FakeTensor)
        target = source if kwargs.get("device") is None else not to_host(kwargs)
        return _copying(source, target, kwargs.get("non_blocking"))
    if func in INDEXING and isinstance(args[0], FakeTensor):
        indices = [index for index in args[1] if index is not None]
        if not all(isinstance(index, FakeTensor) for index in indices):
            return "an index is sent"
        if func is not aten.index.Tensor and any(index.dtype in (torch.bool, torch.uint8) for index in indices):
            return "the elements of a mask are counted"
    return None


def _copying(source: bool, target: bool, asynchronous: bool | None) -> str | None:
    """Whether source and target lie on the device; a copy there waits, too, for all that was launched before it."""
    if source and not target:
        return "a tensor is fetched"
    return "a tensor is sent" if target and not source and not asynchronous else None


class Generator(torch.Generator):
    """On the CPU, wherever it was asked for: it draws the values."""

    def __new__(cls, device="cpu"):
        return super().__new__(cls)


def place() -> str:
    """Module and function of the project, or of its tests, that runs, such as deepcache.sampling.batches:_fetch."""
    frame = sys._getframe(1)
    while frame is not None:
        module = module_of(frame.f_code.co_filename)
        if module is not None and frame.f_code.co_name != "__torch_function__":  # a mode passes on what others call
            # A comprehension of a list is a part of its function, as it is in Python 3.12.
            return f"{module}:{frame.f_code.co_qualname.replace('.<locals>', '').removesuffix('.<listcomp>')}"
        frame = frame.f_back
    return "elsewhere"


@functools.cache
def module_of(file: str) -> str | None:
    """None where it belongs to a library, or is this one."""
    path = Path(file)
    if path == Path(__file__) or path.suffix != ".py" or not path.is_relative_to(ROOT):
        return None
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts) if parts[0] in ("deepcache", "workflow", "tests") else None


def derivatives(outputs: torch.Tensor, inputs: list[torch.Tensor], **options) -> list[torch.Tensor]:
    """What takes their place, of the right shape and device: torch's engine asks for threads of a real device."""
    return [torch.ones_like(one, requires_grad=False) for one in inputs]


@contextmanager
def absent_device(allowed: Callable[[str], bool] = lambda place: True, count: int = 2) -> Iterator[AbsentDevice]:
    """Inside, two CUDA devices, or so many, seem to be there."""
    mode = AbsentDevice(allowed)
    load, tensor, swap = torch.load, torch.tensor, torch.utils.swap_tensors

    def swapped(one, other):
        there = isinstance(one, FakeTensor) and (one.device, one.dtype) == (other.device, other.dtype)
        if not there:  # as it is where a module has a layer twice
            swap(one, other)

    def loaded(*args, **kwargs):
        with _disable_current_modes():  # among fake tensors torch.load leaves the values out
            return load(*args, **kwargs)

    def made(data, *args, **kwargs):
        return tensor(pytree.tree_map_only(FakeTensor, lambda one: one.item(), data), *args, **kwargs)

    cuda = {
        "is_available": lambda: True,
        "device_count": lambda: count,
        "current_device": lambda: 0,
        "set_device": mode.choose,
        "get_device_properties": lambda device: SimpleNamespace(uuid=f"absent-{device}"),
        "is_initialized": lambda: True,
        "_lazy_init": lambda: None,
        "is_bf16_supported": lambda *arguments, **options: True,
        "get_device_name": lambda device=None: "absent",
        "synchronize": lambda device=None: mode.wait("synchronisation"),
        "empty_cache": lambda: None,
        "memory_allocated": lambda device=None: 1000,
        "max_memory_allocated": lambda device=None: 3000,
        "reset_peak_memory_stats": lambda device=None: None,
    }
    with (
        patch.multiple(torch.cuda, **cuda),
        patch.multiple(torch, load=loaded, tensor=made, Generator=Generator),
        patch.object(fake_tensor, "init_gpu_context", lambda device: None),
        patch.object(torch.autograd, "grad", derivatives),
        patch.object(torch.utils, "swap_tensors", swapped),
        patch.object(FakeTensor, "untyped_storage", lambda fake: mode.storage(fake), create=True),
        mode,
    ):
        yield mode
