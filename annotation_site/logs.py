"""Logging settings: readable lines or JSON, with request ids and without personal data.

Addresses are logged as patterns, because they can hold a token; of an exception its class and
place, because its text can hold a name or an answer.
"""

import json
import logging
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""Of the request that is being served, or that started the task that runs."""
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_TEXT = "{asctime} {levelname} {name} {request_id}: {message}"
_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
# What these say is about machines: a server that does not answer, a disk that is full.
_OF_MACHINES = ("OperationalError", "InterfaceError")


def logging_settings(*, as_json: bool, level: str) -> dict[str, Any]:
    """Django's LOGGING. As JSON there is a line for every request too."""
    here = __name__
    formatter = {"()": f"{here}.JsonLine"} if as_json else {"()": f"{here}.Line"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"private": {"()": f"{here}.Private"}},
        "formatters": {"line": formatter},
        "handlers": {
            "console": {
                "class": "logging.StreamHandler", "formatter": "line", "filters": ["private"],
            }
        },
        "loggers": {"annotation_site.requests": {"level": "INFO" if as_json else "WARNING"}},
        "root": {"handlers": ["console"], "level": level},
    }  # fmt: skip


class Private(logging.Filter):
    """Logging filter that adds the request's id and removes personal data."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        record.request_id = request_id.get()
        request: Any = getattr(record, "request", None)
        if hasattr(request, "path") and isinstance(record.args, tuple):
            match = getattr(request, "resolver_match", None)
            said = f"/{match.route}" if match else "an address that is not known"
            record.args = tuple(said if str(arg).startswith("/") else arg for arg in record.args)
        if isinstance(record.args, dict) and "exc" in record.args:  # Celery quotes the exception
            error = record.exc_info[1] if record.exc_info else None
            record.args = {**record.args, "exc": _called(error) if error else "an exception"}
        return True


class Line(logging.Formatter):
    """Formatter of one readable line, with the places of an exception below it."""

    def __init__(self) -> None:
        super().__init__(_TEXT, style="{")

    def formatException(self, ei: _ExcInfo) -> str:  # the base class's name
        """Format the places and classes of an exception; see the module."""
        return exception_text(ei[1])


class JsonLine(logging.Formatter):
    """Formatter of one JSON object: time, level, logger, request_id, message, and extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Format the record as JSON."""
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "request_id": getattr(record, "request_id", "-"),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1]:
            said["exception"] = exception_text(record.exc_info[1])
        return json.dumps(said, ensure_ascii=False, default=str)


def exception_text(error: BaseException | None) -> str:
    """The classes and places of an exception and of its causes, without texts."""
    parts: list[str] = []
    seen: set[int] = set()  # one can come from itself, in a circle
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        frames = traceback.extract_tb(error.__traceback__)
        places = [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        parts.append("\n".join([_called(error), *places]))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nafter\n".join(parts)


def _called(error: BaseException) -> str:
    kind = type(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{kind.__qualname__}: {error.strerror}"
    if kind.__name__ in _OF_MACHINES:
        return f"{kind.__qualname__}: {str(error).splitlines()[0] if str(error) else ''}"
    return f"{kind.__module__}.{kind.__qualname__}"
