"""Snakemake's own messages beside the view: which it replaces, and how the others are shown."""

import copy
import re
from logging import LogRecord
from typing import TextIO

from rich.console import Console
from rich.text import Text
from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.settings import OutputSettingsLoggerInterface

REPLACED = {
    LogEvent.JOB_ERROR,
    LogEvent.JOB_FINISHED,
    LogEvent.JOB_INFO,
    LogEvent.JOB_STARTED,
    LogEvent.PROGRESS,
    LogEvent.RESOURCES_INFO,
    LogEvent.RUN_INFO,
    LogEvent.SHELLCMD,
}
# What has no event of its own.
ROUTINE = (
    "Assuming unrestricted shared filesystem usage",
    "Conda environments: ignored",
    "Select jobs to execute",
    "Using shell:",
)


class ConsoleStream:
    """A stream whose every write is a message above the view, on lines of its own and never cut."""

    def __init__(self, console: Console):
        self._console = console

    def write(self, text: str) -> None:
        """Show a message, without its colours where there is no terminal."""
        if text:
            self._console.print(Text.from_ansi(text), soft_wrap=True)

    def flush(self) -> None:
        """As of a file."""
        self._console.file.flush()

    def isatty(self) -> bool:
        """As of a file."""
        return self._console.is_terminal


def message_handler(settings: OutputSettingsLoggerInterface, stream: TextIO | ConsoleStream) -> ColorizingTextHandler:
    """Snakemake's own handler, as it is without a plugin."""
    handler = ColorizingTextHandler(nocolor=settings.nocolor, stream=stream)
    shown = (settings.debug_dag, settings.verbose, settings.dryrun, settings.printshellcmds)
    handler.addFilter(DefaultFilter(settings.quiet, *shown))
    handler.setFormatter(DefaultFormatter(settings.quiet, settings.show_failed_logs))
    if isinstance(stream, ConsoleStream):
        handler.terminator = ""
    return handler


def is_replaced(record: LogRecord) -> bool:
    """Whether the view says what a message would."""
    return getattr(record, "event", None) in REPLACED or record.getMessage().startswith(ROUTINE)


def shortened(record: LogRecord) -> LogRecord:
    """A failed command's message without the command, which fills the screen; `.snakemake/log` has it."""
    if "CalledProcessError" not in record.getMessage():
        return record
    record = copy.copy(record)
    record.msg = re.sub(r"Command '.*' (returned|died)", r"The command \1", record.msg, flags=re.DOTALL)
    return record
