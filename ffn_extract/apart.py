"""Extractions, measurements, traces and replies in a process without the caller's secrets.

Strangers' weights, configs, tokenizers and texts are opened there. Its environment is an allow-list
(`PASSED_ON`), it ends with the process that started it, and what it answers is JSON with bounds.
Where it reports progress it waits until it is told to go on, so that a report that raises cancels
the work just as it does within one process.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

from ffn_extract.child import command, end_with, to_start
from ffn_extract.errors import FFNExtractError, ProcessEnded
from ffn_extract.measurements import measurement_of
from ffn_extract.measurements.declared import measure_options
from ffn_extract.options import ExtractOptions
from ffn_extract.progress import Progress, Report, Steps, ignore
from ffn_extract.traces.request import TraceRequest

PASSED_ON = (
    "CUDA_VISIBLE_DEVICES", "CURL_CA_BUNDLE", "FFN_CONTACT", "FFN_DATA_DIR", "FFN_GLOSS_DAYS",
    "FFN_HIDE_WORDNET", "FFN_WIKI", "FFN_WIKI_SECONDS", "HF_ENDPOINT", "HF_HOME", "HF_HUB_CACHE",
    "HF_HUB_DISABLE_XET", "HF_HUB_OFFLINE", "HF_TOKEN", "HTTPS_PROXY", "HTTP_PROXY",
    "MKL_NUM_THREADS", "NLTK_DATA", "NO_PROXY", "OMP_NUM_THREADS", "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR", "SSL_CERT_FILE", "XDG_CACHE_HOME", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip
"""What the process sees of the environment, besides what it needs to start. `HF_TOKEN`, where it is
set, and a proxy's password are among it: without them it cannot ask the hub."""
PROGRAM = "ffn_extract.apart"
MOST_LETTERS = 16 << 20
"""Of one answer: sizes and inputs of an extraction that is cut into layers are the longest."""
MOST_OF_A_LINE = 4_000
LONGEST_STEP, MOST_UNITS = 40, 1 << 53
LAYER = "layer"  # the step that counts one layer's vectors
STOP_SECONDS = 20  # for what is cancelled, before it is killed
REPORT_SECONDS = 0.1
_log = logging.getLogger(__name__)


def extract(
    model: str, out: str | os.PathLike[str], options: ExtractOptions, report: Report = ignore
) -> None:
    """As `pipeline.extract`, in another process.

    Raises what that raises, and ProcessEnded where the process was killed or crashed.
    """
    process = _Process()
    try:
        process.ask("extract", _described(model, out, options), report=report)
    finally:
        process.close()


class LayersApart:
    """A `LayeredExtraction` that another process holds open. `close` ends that process.

    Each method raises what that one's does, and ProcessEnded where the process is gone.
    """

    def __init__(
        self, model: str, out: str | os.PathLike[str], options: ExtractOptions, report: Report
    ) -> None:
        self._process = _Process()
        try:
            found = self._process.ask("open", _described(model, out, options), report=report)
            self.sizes = tuple(int(size) for size in found["sizes"])
            self.inputs: dict[str, Any] = dict(found["inputs"])
        except BaseException:
            self.close()
            raise

    @property
    def begun(self) -> bool:
        """As of `LayeredExtraction`, like all that follows."""
        return bool(self._process.ask("begun"))

    def begin(self) -> None:
        """Make the place where finished layers are kept."""
        self._process.ask("begin")

    def unfinished(self) -> list[int]:
        """The layers that are still to be done."""
        return [int(layer) for layer in self._process.ask("unfinished")]

    def layer(self, layer: int, steps: Steps, report: Callable[[int], None]) -> None:
        """Do one layer."""

        def both(progress: Progress) -> None:
            report(progress.done) if progress.step == LAYER else steps.report(progress)

        self._process.ask("layer", layer, report=both)

    def finish(self, steps: Steps, *, keep_parts: bool = False) -> None:
        """Write the bundle from all layers."""
        self._process.ask("finish", keep_parts, report=steps.report)

    def forget_parts(self) -> None:
        """Remove the finished layers."""
        self._process.ask("forget_parts")

    def rest(self) -> None:
        """Give back the memory that only layers need."""
        self._process.ask("rest")

    def close(self) -> None:
        """End the process."""
        self._process.close()


class MeasuringApart:
    """A process that measures, and keeps the last model that it loaded. `close` ends it.

    Its methods raise what `measurements.run.measure` raises, and ProcessEnded where it is gone.
    After an error it is to be closed: what it was doing may go on in processes of its own.
    """

    def __init__(self) -> None:
        self._process = _Process()

    def measure(
        self,
        name: str,
        model: str,
        out: str | os.PathLike[str],
        values: Mapping[str, Any],
        reading: Mapping[str, Any],
        report: Report = ignore,
    ) -> dict[str, Any]:
        """Write a measurement's folder; what it is and says, as `_Served._measure` answers.

        `values` and `reading` are the arguments of `measurements.declared.measure_options`.
        """
        described = [name, model, os.path.abspath(out), dict(values), dict(reading)]
        return dict(self._process.ask("measure", described, report=report))

    def close(self) -> None:
        """End the process."""
        self._process.close()


class TracingApart:
    """A process that traces prompts, and keeps the last model that it loaded. `close` ends it.

    A refusal, or a report that raises, leaves it ready for the next prompt; after ProcessEnded
    another one is to be started.
    """

    def __init__(self) -> None:
        self._process = _Process()

    def trace(
        self,
        model: str,
        reading: Mapping[str, Any],
        request: Mapping[str, Any],
        report: Report = ignore,
    ) -> dict[str, Any]:
        """The trace of a prompt, as `ffn-extract trace --format json` prints it, and `fingerprint`,
        that of the model's weights.

        `reading` is how the model is found and read, entries of `ExtractOptions`; `request` is an
        object for `TraceRequest.from_json`. Raises FFNExtractError with a sentence that says what
        to do, and ProcessEnded where the process is gone.
        """
        described = [model, dict(reading), dict(request)]
        return dict(self._process.ask("trace", described, report=report))

    def close(self) -> None:
        """End the process."""
        self._process.close()


class ChattingApart:
    """A process that replies to conversations, and keeps the last chat model that it loaded.

    After ProcessEnded another one is to be started.
    """

    def __init__(self) -> None:
        self._process = _Process()

    def replies(
        self,
        model: str,
        reading: Mapping[str, Any],
        requests: Sequence[Mapping[str, Any]],
        report: Report = ignore,
    ) -> dict[str, Any]:
        """`replies`, each as `generation.ChatReply.to_json` gives it, and the model's `version`.

        `reading` is how the model is found and read, entries of `ExtractOptions`; each request is
        an object for `generation.ChatRequest.from_json`. Raises FFNExtractError with a sentence
        that says what to do, and ProcessEnded where the process is gone.
        """
        described = [model, dict(reading), [dict(request) for request in requests]]
        return dict(self._process.ask("chat", described, report=report))

    def close(self) -> None:
        """End the process."""
        self._process.close()


def _described(
    model: str, out: str | os.PathLike[str], options: ExtractOptions
) -> tuple[str, str, dict[str, Any]]:
    return model, os.path.abspath(out), options.to_json()


class _Process:
    """The process as its parent sees it: one question at a time."""

    def __init__(self) -> None:
        self._running = subprocess.Popen(
            command(PROGRAM),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=to_start(PASSED_ON),
        )
        self._questions = cast(IO[bytes], self._running.stdin)
        self._answers = cast(IO[bytes], self._running.stdout)

    def ask(self, what: str, *arguments: Any, report: Report = ignore) -> Any:
        """The answer to a question; progress is reported meanwhile."""
        self._say([what, *arguments])
        while True:
            kind, value = self._hear()
            if kind == "progress":
                try:
                    report(_progress_of(value))
                except BaseException:
                    self._stop()
                    raise
                self._say("go on")
            elif kind == "log":
                level, text = value
                _log.log(min(int(level), logging.ERROR), "%s", str(text)[:MOST_OF_A_LINE])
            elif kind == "done":
                return value
            else:
                raise _raised(kind, value)

    def _stop(self) -> None:
        """Have what is being done end as if the report had raised there; else kill it."""
        late = threading.Timer(STOP_SECONDS, self._running.kill)
        late.start()
        try:
            self._say("stop")
            while self._hear()[0] not in ("stopped", "refused", "storage", "bug"):
                pass
        except ProcessEnded:
            pass  # stopped in its own way
        finally:
            late.cancel()

    def close(self) -> None:
        """End the process: its questions are over."""
        for pipe in (self._questions, self._answers):
            with suppress(OSError):  # it ended before it was heard out
                pipe.close()
        try:
            self._running.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()

    def _say(self, question: Any) -> None:
        try:
            self._questions.write(json.dumps(question).encode() + b"\n")
            self._questions.flush()
        except (OSError, ValueError) as error:
            raise self._ended() from error

    def _hear(self) -> tuple[str, Any]:
        line = self._answers.readline(MOST_LETTERS)
        try:
            kind, value = json.loads(line)
        except (ValueError, TypeError, RecursionError) as error:
            raise self._ended() from error
        return str(kind), value

    def _ended(self) -> ProcessEnded:
        self._running.kill()  # if it says what is no answer
        return ProcessEnded(
            "The process at work ended without a word (status "
            f"{self._running.wait()}). The machine may lack memory."
        )


def _progress_of(value: Any) -> Progress:
    step, *numbers = value
    done, total, before = (min(max(int(number), 0), MOST_UNITS) for number in numbers)
    return Progress(str(step)[:LONGEST_STEP], done, total, before)


def _raised(kind: str, value: Any) -> Exception:
    if kind == "refused":
        return FFNExtractError(str(value))
    if kind == "storage":
        number, words = value
        return OSError(int(number), str(words)[:MOST_OF_A_LINE])
    if kind == "missing":
        return ModuleNotFoundError(f"No module named {value}", name=str(value)[:LONGEST_STEP])
    named: Exception = type(str(value)[:LONGEST_STEP], (RuntimeError,), {})()
    return named


# What follows runs in the process itself.


class _Stopped(BaseException):
    """The process that asked does not want this any more."""


class _Served:
    """Answers questions, one after the other."""

    def __init__(self, questions: IO[str], answers: IO[str]) -> None:
        self._questions, self._answers = questions, answers
        self._layers: Any = None
        self._tracer: Any = None
        self._chat_model: Any = None
        self._step, self._reported_at = "", 0.0

    def say(self, kind: str, value: Any = None) -> None:
        self._answers.write(json.dumps([kind, value]) + "\n")
        self._answers.flush()

    def everything(self) -> None:
        """Answer questions until there are no more; an error is an answer too."""
        for line in self._questions:
            what, *arguments = json.loads(line)
            try:
                self.say("done", getattr(self, f"_{what}")(*arguments))
            except _Stopped:
                self.say("stopped")
            except FFNExtractError as error:
                self.say("refused", str(error))
            except ModuleNotFoundError as error:
                self.say("missing", error.name)
            except OSError as error:
                self.say("storage", [error.errno or 0, os.strerror(error.errno or 0)])
            except Exception as error:
                # Of an exception its class and place: its text may quote what is private.
                frames = traceback.extract_tb(error.__traceback__)
                places = (f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)
                name = type(error).__name__
                self.say("log", [logging.ERROR, "; ".join([name, *reversed(list(places))])])
                self.say("bug", name)

    def _report(self, progress: Progress) -> None:
        """Report and wait, now and then: pages show no more, and each one waits for a database."""
        now = time.monotonic()
        is_due = now - self._reported_at >= REPORT_SECONDS
        if progress.step == self._step and progress.done != progress.total and not is_due:
            return
        self._step = progress.step
        self.say("progress", [progress.step, progress.done, progress.total, progress.before])
        if json.loads(self._questions.readline() or '"stop"') != "go on":
            raise _Stopped
        self._reported_at = time.monotonic()

    def _extract(self, described: tuple[str, str, dict[str, Any]]) -> None:
        from ffn_extract.pipeline import extract

        model, out, options = described
        extract(model, out, ExtractOptions.from_json(options), self._report)

    def _measure(self, described: tuple[str, str, str, dict[str, Any], dict[str, Any]]) -> Any:
        from ffn_extract.measurements.run import measure
        from ffn_extract.running import keep_last_model

        name, model, out, values, reading = described
        kept = keep_last_model()
        before = kept.loaded
        options = measure_options(values, reading)
        (done,) = measure([name], model, out, options, self._report)
        one = measurement_of(name)
        return {
            "title": one.title,
            "definition": one.definition,
            "source": one.source,
            "columns": {table: dict(columns) for table, columns in one.columns.items()},
            "tables": [table.name for table in done.result.tables],
            "figures": [[figure.name, figure.title] for figure in done.result.figures],
            "lines": [figure.to_json() for figure in done.result.figures],
            "words": list(done.result.words),
            "loaded": kept.loaded - before,
        }

    def _trace(self, described: tuple[str, dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
        from ffn_extract.traces.run import LastTracer, reading_options

        model, reading, request = described
        wanted = TraceRequest.from_json(request)  # refused before a model is loaded
        self._tracer = self._tracer or LastTracer()
        found: dict[str, Any] = self._tracer.trace(
            model, reading_options(reading), wanted, self._report
        )
        # Who asks can tell whether the files are still those of an extraction.
        return {**found, "fingerprint": self._tracer.fingerprint}

    def _chat(self, described: tuple[str, dict[str, Any], list[dict[str, Any]]]) -> dict[str, Any]:
        from ffn_extract.generation import ChatRequest, LastChatModel
        from ffn_extract.traces.run import reading_options

        model, reading, requests = described
        wanted = [ChatRequest.from_json(request) for request in requests]
        self._chat_model = self._chat_model or LastChatModel()
        opened = self._chat_model.open(model, reading_options(reading), self._report)

        def done(so_far: int, most: int) -> None:
            self._report(Progress("reply", so_far, most))

        found = opened.replies(wanted, done)
        return {"replies": [one.to_json() for one in found], "version": opened.version()}

    def _open(self, described: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
        from ffn_extract.pipeline import open_run
        from ffn_extract.whole_layers import LayeredExtraction

        model, out, options = described
        run = open_run(model, Path(out), ExtractOptions.from_json(options), Steps(self._report))
        self._layers = LayeredExtraction(run)
        return {"sizes": self._layers.sizes, "inputs": self._layers.inputs}

    def _layer(self, layer: int) -> None:
        total = self._layers.sizes[layer]
        self._layers.layer(
            layer, Steps(self._report), lambda done: self._report(Progress(LAYER, done, total))
        )

    def _finish(self, keep_parts: bool) -> None:
        self._layers.finish(Steps(self._report), keep_parts=keep_parts)

    def _begun(self) -> bool:
        return bool(self._layers.begun)

    def _begin(self) -> None:
        self._layers.begin()

    def _unfinished(self) -> list[int]:
        return list(self._layers.unfinished())

    def _forget_parts(self) -> None:
        self._layers.forget_parts()

    def _rest(self) -> None:
        self._layers.rest()


class _Logged(logging.Handler):
    """Passes on what is logged, into the log of the process that asked."""

    def __init__(self, served: _Served) -> None:
        super().__init__(logging.WARNING)
        self._served = served

    def emit(self, record: logging.LogRecord) -> None:
        """One line; of an exception nothing but that there was one."""
        self._served.say("log", [record.levelno, record.getMessage()])


def main(parent: str) -> None:
    """Answer the questions of `parent` until it has none."""
    end_with(parent)
    for wish in (signal.SIGINT, signal.SIGHUP):  # of a terminal: who asked decides what that means
        signal.signal(wish, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    served = _Served(sys.stdin, answers)
    logging.basicConfig(handlers=[_Logged(served)], level=logging.WARNING)
    served.everything()


if __name__ == "__main__":
    main(*sys.argv[1:])
