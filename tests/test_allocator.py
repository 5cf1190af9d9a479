"""Memory that is given back is not asked of the system again."""

import ctypes
import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from deepcache.allocator import keep_memory

if sys.argv[1] == "keep":
    keep_memory()
bytearray(16 * 2**20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    bytearray(16 * 2**20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode, **environment):
    """Pages that the system has to provide for twenty blocks of 16 MiB, one after another."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", PROGRAM, mode]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, env=clean | environment).stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another allocator than glibc's")
def test_memory_is_kept_unless_the_environment_says_otherwise():
    default = faults("default")
    assert faults("keep") < default / 4
    assert faults("keep", MALLOC_ARENA_MAX="2") > default / 2
