"""A machine whose GPUs are not there: a driver that counts them, and for jobs that sample torch's fake tensors."""

import os
import shutil
import subprocess
from pathlib import Path

from deepcache.gpus import JOBS_PER_GPU
from tests.workflow.project import ROOT, Project

# NVIDIA's driver, as far as it is asked how many GPUs there are.
DRIVER = "int cuInit(unsigned flags) {return 0;} int cuDeviceGetCount(int *count) {*count = %d; return 0;}"


def machine(folder: Path, count: int) -> dict[str, str]:
    """The environment of a machine with so many GPUs, which nobody hands out; its driver is put into a folder."""
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(folder / "libcuda.so.1")]
    subprocess.run(command, input=DRIVER % count, text=True, check=True)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(folder), "ABSENT_GPUS": str(count)}
    environment.pop(JOBS_PER_GPU)
    return environment


def sample_there(project: Project, meeting: Path, jobs: int) -> None:
    """Have jobs that sample do so on those GPUs, and first wait until so many hold one: see sample_on_absent_gpu.py.

    Args:
        project: a copy, whose environment is `machine`'s; its program is replaced.
        meeting: an empty folder, where each leaves a file <shard>-<GPU>.
        jobs: how many.
    """
    scripts = project.folder / "workflow/scripts"
    (scripts / "sample.py").rename(scripts / "sample_itself.py")
    shutil.copy(Path(__file__).with_name("sample_on_absent_gpu.py"), scripts / "sample.py")
    path = os.pathsep.join(filter(None, [str(ROOT), project.environment.get("PYTHONPATH")]))
    meet = {"MEETING": str(meeting), "MEETING_JOBS": str(jobs)}
    project.environment = {**project.environment, **meet, "PYTHONPATH": path}
