"""`manage.py enqueue_model MODEL`: enqueue an extraction for a worker."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from annotation_site.corpus.forecasts import Forecast, extraction_forecast
from annotation_site.corpus.services import extraction_enqueue
from annotation_site.errors import SiteError
from annotation_site.management.base import SiteCommand
from annotation_site.workers.selectors import workers_extracting
from ffn_extract.chosen_vectors import places_given
from ffn_extract.errors import FFNExtractError, OptionError
from ffn_extract.option_types import Choice, Flag, Integer, Names, Number
from ffn_extract.options import OPTIONS, ExtractOptions, Option, flag_of


def _argument(option: Option) -> dict[str, Any]:
    """Arguments of `add_argument` for an option, from its declaration."""
    words = (option.page_help or option.help, option.type.typed)
    help = " ".join(filter(None, words)).replace("%", "%%")
    settings: dict[str, Any] = {"help": help, "default": option.default}
    match option.type:
        case Flag():
            return settings | {"action": "store_true"}
        case Choice(meanings):
            return settings | {"choices": tuple(meanings)}
        case Names() as names:
            settings["default"] = names.write(option.default)
        case Integer(word=word):
            settings["type"] = _number_or(word) if word else int
        case Number():
            settings["type"] = float
    return settings | {"metavar": option.type.metavar}


def _number_or(word: str) -> Callable[[str], int | str]:
    def read(value: str) -> int | str:
        if value.lower() == word:
            return word
        if not value.isdecimal():
            raise ArgumentTypeError(f"give a whole number, or {word}, not {value!r}")
        return int(value)

    return read


class Command(SiteCommand):
    help = "Queue an extraction: a worker extracts and loads it; the Models page shows how far."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("model", help="a hub id, or a folder's name in the models folder")
        parser.add_argument(
            "--estimate", action="store_true", help="say what it would take, and queue nothing"
        )
        for option in OPTIONS.values():
            parser.add_argument(flag_of(option.name), **_argument(option))
        parser.add_argument(
            "--vectors-file", type=Path, metavar="FILE", help="the same as --vectors, one on a line"
        )

    def handle(self, *args: Any, model: str, **given: Any) -> None:
        given_vectors = (given["vectors"], given.pop("vectors_file"))
        try:
            given["vectors"] = places_given(*given_vectors)
            options = ExtractOptions.read({name: given[name] for name in OPTIONS})
            for note in options.notes:
                self.stderr.write(f"Note: {note.write(flag_of)}")
            if given["estimate"]:
                forecast = extraction_forecast(model_source=model.strip(), options=options)
                self.stdout.write(_sentence(forecast))
                return
            extraction = extraction_enqueue(model_source=model, options=options)
        except OptionError as error:
            raise CommandError(error.named(flag_of)) from error
        except (FFNExtractError, SiteError) as error:
            cause = error.__cause__
            known = cause.named(flag_of) if isinstance(cause, OptionError) else str(error)
            raise CommandError(known) from error
        self.stdout.write(f"Queued: {extraction.model_source} as {extraction.public_id}")
        if not workers_extracting().exists():
            self.stdout.write("No worker is running; it starts with `manage.py serve`.")


def _sentence(forecast: Forecast) -> str:
    found = forecast.estimate
    if found is None:
        return "Time, memory and disk are not known until the model's files are here."
    return (
        f"About {found.seconds:,.0f} seconds of one worker, {found.memory_bytes / 1e9:.1f} GB of "
        f"memory and {found.disk_bytes / 1e9:.2f} GB of disk, for {found.lists:,} lists."
    )
