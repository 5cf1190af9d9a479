"""A run in parts, each under a limit of its own: what it leaves is written after each, and what is missing is named."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deepcache.files import atomic
from deepcache.limits import run_within


@dataclass(frozen=True)
class Part:
    """One of them.

    Attributes:
        name: what it is called.
        commands: run one after another, each within what is left of the limit.
        limit: seconds, all commands together.
        log: what they say.
        pieces: what they are to leave, by name, the most important first -> whether it is there.
        after: what is done with it, also where it was stopped.
        environment: of the commands; None: this process's.
    """

    name: str
    commands: Sequence[Sequence[str | Path]]
    limit: float
    log: Path
    pieces: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    after: Callable[[], None] = lambda: None
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a part.

    Attributes:
        part: the part.
        word: done, stopped at its limit, failed or not begun.
        seconds: how long it took.
        missing: names of pieces that are not there.
    """

    part: Part
    word: str = "not begun"
    seconds: float = 0.0
    missing: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether something went wrong; to be stopped is not wrong."""
        return self.word == "failed"


def run_parts(parts: Sequence[Part], summary: Path, about: Mapping[str, str], say=print) -> list[Outcome]:
    """Run one part after another, whatever comes of the others, and write the summary anew after each.

    Args:
        parts: the most important first.
        summary: a Markdown file.
        about: what it says of the run, by name.
        say: told a line after each part.
    """
    outcomes = [Outcome(part, missing=tuple(part.pieces)) for part in parts]
    _write(summary, about, outcomes)
    for index, part in enumerate(parts):
        outcomes[index] = outcome = _run(part)
        _write(summary, about, outcomes)
        said = f"{part.name}: {outcome.word}, {outcome.seconds:.0f} s"
        say(said + (f"; not reached: {', '.join(outcome.missing)}" if outcome.missing else ""))
    return outcomes


def _run(part: Part) -> Outcome:
    spent, statuses = 0.0, []
    for command in part.commands:
        if spent >= part.limit:
            statuses.append(None)
            continue
        ended = run_within(command, part.limit - spent, part.log, part.environment)
        spent += ended.seconds
        statuses.append(ended.status)
    part.after()
    missing = tuple(name for name, there in part.pieces.items() if not there())
    if any(statuses):
        word = "failed"
    else:
        word = "stopped at its limit" if None in statuses else "failed" if missing else "done"
    return Outcome(part, word, spent, missing)


def _write(summary: Path, about: Mapping[str, str], outcomes: Sequence[Outcome]) -> None:
    lines = [f"- {name}: {value}" for name, value in about.items()]
    lines += ["", "| part | came to | seconds | limit | log | not reached |", "|---|---|---|---|---|---|"]
    for one in outcomes:
        cells = [one.part.name, one.word, f"{one.seconds:.0f}", f"{one.part.limit:g}", f"`{one.part.log.name}`"]
        lines.append(f"| {' | '.join([*cells, '; '.join(one.missing)])} |")
    with atomic(summary) as temporary:
        temporary.write_text("\n".join(["# What `make gpu` came to", "", *lines, ""]), encoding="utf-8")
