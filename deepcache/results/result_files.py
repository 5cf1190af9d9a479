"""What a table's cells are read from: the result files of its runs."""

import statistics
from dataclasses import dataclass, field
from pathlib import Path

from deepcache.caching.schedules import average_macs
from deepcache.cost.speed_up import speed_up
from deepcache.json_values import read_object
from deepcache.runs.run import Run
from deepcache.suite.layout import FROM_PAIRED, RESULT_FILES, baseline
from deepcache.suite.timing import timed_variant


@dataclass
class Sources:
    """The files below `results/<suite>` that a table's cells are read from.

    Attributes:
        root: `results/<suite>`.
        layout: the table's.
        used: the metrics files that were read, in order.
    """

    root: Path
    layout: dict
    used: dict[Path, dict] = field(default_factory=dict)

    def value(self, name: str, runs: list[Run]) -> float | None:
        """The value of a column for the runs of its seeds; None where a metric is undefined."""
        if name not in RESULT_FILES:
            others = {
                "macs_g": self._macs_g,
                "throughput": self._throughput,
                "speed": self._speed,
                "seconds_per_image": self._seconds_per_image,
                "peak_memory_mb": self._peak_memory_mb,
                "bytes_cached": self._bytes_cached,
            }
            return others[name](runs[0])
        found = self.by_seed(name, runs)
        return None if None in found.values() else statistics.fmean(found.values())

    def by_seed(self, name: str, runs: list[Run]) -> dict[int, float | None]:
        """A metric of each seed's run; None where a run would be compared with itself."""
        return {run.seed: self.result(name, run).get(name) for run in runs}

    def result(self, name: str, run: Run) -> dict:
        """What the file says in which a run's metric `name` stands; empty where a run would be compared with itself."""
        if name in FROM_PAIRED and run == run.uncached:
            return {}
        path = self.root / run.path / RESULT_FILES[name]
        if path not in self.used:
            self.used[path] = read_object(path)
        return self.used[path]

    def paired_change(self, run: Run) -> dict:
        """`fid_change` and its interval from a bootstrap, for a run of a single seed; empty if it caches nothing."""
        return {} if run == run.uncached else read_object(self.root / run.path / "paired.json")

    def without_caching(self, runs: list[Run]) -> list[Run]:
        """The runs of the same model, sampler and seeds without caching, where the table has them; else none."""
        found = [run.uncached for run in runs]
        return found if all(map(self._has, found)) else []

    def compared_with(self, run: Run) -> Run | None:
        """The run of the same seed that another is measured against, if the table has it: see layout.baseline."""
        other = baseline(self.layout, run)
        return other if other != run and self._has(other) else None

    def _has(self, run: Run) -> bool:
        """Whether a row of the table shows the run."""
        return any(str(run.path) in paths for row in self.layout["rows"] for paths in row["runs"].values())

    def _macs_g(self, run: Run) -> float:
        """G MACs of one image and step, averaged over the steps of the schedule (paper, Section 4.1).

        A trajectory without caching but with fewer steps counts over the table's number of steps, as in Table 3. Where
        the sampler calls the U-Net more often than once a step (PNDM), every call counts, still over the steps.
        """
        counted = read_object(self.root / "macs" / f"{run.model}.json")
        full, prompted = counted["full_g"], run.model in self.layout["prompted"]
        steps, calls = run.sampler.steps_taken(prompted), run.sampler.schedule_length(prompted)
        if not run.method.caches:
            return full * calls / self.layout["steps"]
        shallow = counted["shallow_g"][str(run.method.branch)]
        return average_macs(full, shallow, calls, range(run.method.num_full(calls))) * (calls / steps)  # any so many

    def _throughput(self, run: Run) -> float:
        """Images per second: the batch over the median time of a trajectory."""
        return self._timed(run)["throughput"]

    def _speed(self, run: Run) -> float:
        """Times faster than the same model and sampler without caching, or than what the config says to compare with.

        See deepcache.cost.speed_up.
        """
        return speed_up(self._timed(baseline(self.layout, run))["seconds"], self._timed(run)["seconds"])

    def _seconds_per_image(self, run: Run) -> float:
        """Median time of a trajectory over its images: what `throughput` says, the other way round."""
        return 1 / self._timed(run)["throughput"]

    def _peak_memory_mb(self, run: Run) -> float:
        """MB (1e6) of the U-Net's weights and of all other tensors at the peak: see deepcache.cost.memory."""
        found = self._memory(run)
        return (found["weights_bytes"] + found["peak_bytes"]) / 1e6

    def _bytes_cached(self, run: Run) -> int:
        """Bytes that are kept between the steps for one image."""
        return self._memory(run)["bytes_cached"]

    def _memory(self, run: Run) -> dict:
        """What the memory job says of a run's branch, and of the weights."""
        found = read_object(self.root / "memory" / f"{run.model}.json")
        part = found["uncached"] if not run.method.caches else found["branches"][str(run.method.branch)]
        return {"weights_bytes": found["weights_bytes"], **part}

    def _timed(self, run: Run) -> dict:
        """What the timing job says of a run: `throughput`, images/s; `seconds` of each repetition; `spread`."""
        timed = read_object(self.root / "timing" / f"{self.layout['timing']['group']}.json")
        return timed["variants"][timed_variant(self.layout, run)]
