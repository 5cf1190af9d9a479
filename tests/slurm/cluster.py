"""A Slurm of two nodes on this machine: its daemons, in a folder of their own."""

import getpass
import os
import shutil
import socket
import stat
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import psutil

from deepcache.gpus import JOBS_PER_GPU

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
PARTITION = "tiny"
NODES = ("node1", "node2")  # both are this machine, each with a daemon and a port of its own
CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# A job that takes more memory than it asked for is killed, as it is where cgroups enforce it.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
AccountingStorageType=accounting_storage/none
# Jobs that ended stay visible until the tests have looked at them.
MinJobAge=3600
SchedulerParameters=batch_sched_delay=0,sched_interval=1
ReturnToService=2
# Jobs ask for the memory of the paper's suite; they use little of it.
SlurmdParameters=config_overrides
GresTypes=gpu
{nodes}
# A job goes to the node with the fewest, so that both have some.
PartitionName={partition} Nodes=ALL LLN=YES State=UP
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=64000 Gres=gpu:2"
# Slurm only counts these; any two files will do, since no cgroup keeps jobs from the others.
GPUS = "Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n"


def missing() -> list[str]:
    """Names of the programs that this machine lacks."""
    return [name for name in PROGRAMS if find(name) is None]


def find(program: str) -> str | None:
    """Where a program is; daemons are often in a folder that only root has in PATH."""
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on."""
    with ExitStack() as sockets:
        opened = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in opened:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in opened]


class Cluster:
    """The daemons while a `with` lasts; `environment` leads Slurm's programs to them."""

    def __init__(self, folder: Path):
        self.folder = folder
        # Slurm's plugin starts srun without the variable SLURM_CONF.
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != JOBS_PER_GPU},
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": os.pathsep.join([str(folder / "bin"), os.environ["PATH"]]),
        }
        self._daemons: list[subprocess.Popen] = []

    def __enter__(self) -> "Cluster":
        self._write()
        key, address = self.folder / "munge.key", self.folder / "munge.socket"
        try:
            # --force: the folder of temporary files is everybody's.
            self._start(
                *("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={address}"),
                *(f"--{name}-file={self.folder}/munged.{name}" for name in ("pid", "log", "seed")),
            )
            self._wait(lambda: address.exists())
            self._start("slurmctld", "-D")
            for name in NODES:
                self._start("slurmd", "-D", "-N", name, log=f"slurmd-{name}")
            states = ("sinfo", "--Node", "--noheader", "--format=%T")
            self._wait(lambda: self.run(*states, check=False).split() == ["idle"] * len(NODES))
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_) -> None:
        try:
            self.run("scancel", f"--partition={PARTITION}")
            self._wait(lambda: not self.run("squeue", "--noheader"))
        finally:
            self._stop()

    def run(self, *command: str, check: bool = True) -> str:
        """Output of one of Slurm's commands."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=check)
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """What Slurm knows of each job, also of those that ended; `Comment` names rule and wildcards."""
        lines = self.run("scontrol", "show", "jobs", "--oneliner").splitlines()
        return [
            dict(field.split("=", 1) for field in line.split() if "=" in field) for line in lines if "JobId=" in line
        ]

    def _write(self) -> None:
        for name in ("state", "bin"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(stat.S_IRUSR | stat.S_IWUSR)
        host, (controller_port, *ports) = socket.gethostname().partition(".")[0], free_ports(1 + len(NODES))
        nodes = [NODE.format(name=name, host=host, port=port) for name, port in zip(NODES, ports, strict=True)]
        text = CONFIGURATION.format(
            host=host,
            controller_port=controller_port,
            user=getpass.getuser(),
            folder=self.folder,
            nodes="\n".join(nodes),
            partition=PARTITION,
        )
        (self.folder / "slurm.conf").write_text(text, encoding="utf-8")
        (self.folder / "gres.conf").write_text(GPUS, encoding="utf-8")
        wrapper = self.folder / "bin/srun"
        wrapper.write_text(
            f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {find("srun")} "$@"\n', encoding="utf-8"
        )
        wrapper.chmod(0o755)

    def _start(self, program: str, *arguments: str, log: str | None = None) -> None:
        with (self.folder / f"{log or program}.log").open("wb") as messages:
            command = [find(program), *arguments]
            self._daemons.append(subprocess.Popen(command, env=self.environment, stdout=messages, stderr=messages))

    def _wait(self, condition, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            stopped = any(daemon.poll() is not None for daemon in self._daemons)
            if stopped or time.monotonic() > deadline:
                logs = [
                    f"{path.name}:\n{path.read_text(encoding='utf-8')[-2000:]}"
                    for path in sorted(self.folder.glob("*.log"))
                ]
                raise RuntimeError("Slurm does not work here\n" + "\n".join(logs))
            time.sleep(0.2)

    def _stop(self) -> None:
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in self._daemons:
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        # Without cgroups Slurm loses those whose parent ended before them.
        for process in psutil.process_iter(["environ"]):
            if (process.info["environ"] or {}).get("SLURM_CONF") == self.environment["SLURM_CONF"]:
                process.kill()
