"""Snakemake's logger `live`: one view of what is done, running and left, in place of a message for each job.

It is chosen by `logger: live` in profiles/default, which `snakemake --logger` with another name overrides. Errors,
warnings and Snakemake's other messages are shown as always, and so is everything where nothing runs (`--dry-run`) or
where more is asked for (`--verbose`, `--printshellcmds`) or less (`--quiet`). `.snakemake/log` stays the same.
"""

import sys
import time
from logging import LogRecord

from rich.console import Console
from snakemake.logging import ColorizingTextHandler
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_live.announcements import failed, ready
from snakemake_logger_plugin_live.frame import frame, line
from snakemake_logger_plugin_live.messages import ConsoleStream, is_replaced, message_handler, shortened
from snakemake_logger_plugin_live.progress import Progress
from snakemake_logger_plugin_live.screens import LiveScreen, PlainScreen


class LogHandler(LogHandlerBase):
    """What Snakemake asks of a logger plugin."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        settings = self.common_settings
        quiet = {str(kind) for kind in settings.quiet or ()}
        more = settings.dryrun or settings.verbose or settings.debug_dag or settings.printshellcmds
        self._views = not (more or quiet & {"all", "progress"})
        self._progress = Progress()
        self._console = Console(stderr=not settings.stdout, no_color=settings.nocolor or None)
        self._screen: LiveScreen | PlainScreen | None = None
        self._messages: ColorizingTextHandler = message_handler(settings, self._stream())

    def _stream(self):
        if self._views:
            return ConsoleStream(self._console)
        return sys.stdout if self.common_settings.stdout else sys.stderr

    def emit(self, record: LogRecord) -> None:
        """Take in what happened, and show what the view does not."""
        if not self._views:
            self._messages.handle(record)
            return
        try:
            self._take_in(record)
        except Exception:
            self.handleError(record)

    def _take_in(self, record: LogRecord) -> None:
        job = self._progress.update(record)
        event = getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            self._start_screen()
        elif event == LogEvent.JOB_ERROR:
            self._say(failed(record.rule_name, record.output, record.log))
        elif job is not None and job.first:
            self._say(ready(job, record.created - self._progress.started))
        if not is_replaced(record):
            self._messages.handle(shortened(record))

    def _say(self, text: str) -> None:
        self._messages.stream.write(text)

    def _start_screen(self) -> None:
        # A lone job may print what was asked for, as `estimate` does, which a moving view would overwrite.
        moving = self._console.is_terminal and not self._console.is_dumb_terminal and self._progress.total > 1
        if moving:
            self._screen = LiveScreen(self._console, lambda: frame(self._progress, time.time()))
        else:
            self._screen = PlainScreen(self._console, lambda: line(self._progress, time.time()))

    def close(self) -> None:
        """Leave one line in place of the view; Snakemake calls this more than once."""
        screen, self._screen = self._screen, None
        if screen is not None:
            screen.stop()
            self._say(line(self._progress, time.time()))
        super().close()
