"""In place of sample.py: that program, sample_itself.py, on GPUs that are not there.

Once it has its GPU it waits for the others that are to have one at the same time, and fails where they do not come.
"""

import os
import runpy
import sys
import time
from pathlib import Path

from deepcache import devices
from tests.devices.absent import absent_device

SECONDS = 120  # for the others to come
choose = devices.choose_device


def choose_and_meet(name: str):
    """Choose, and wait for the others."""
    device = choose(name)
    meeting = Path(os.environ["MEETING"])
    (meeting / f"{sys.argv[sys.argv.index('--shard') + 1]}-{device.index}").touch()
    deadline = time.monotonic() + SECONDS
    while len(list(meeting.iterdir())) < int(os.environ["MEETING_JOBS"]):
        if time.monotonic() > deadline:
            sys.exit("nobody else has a GPU at the same time")
        time.sleep(0.1)
    return device


if __name__ == "__main__":
    devices.choose_device = choose_and_meet
    with absent_device(count=int(os.environ["ABSENT_GPUS"])):
        runpy.run_path(str(Path(__file__).with_name("sample_itself.py")), run_name="__main__")
