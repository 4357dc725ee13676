"""`manage.py enqueue_model MODEL`: enqueue an extraction for a worker."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from annotation_site.corpus.forecasts import Forecast, extraction_forecast
from annotation_site.corpus.services import extraction_enqueue
from annotation_site.errors import SiteError
from annotation_site.management.arguments import argument_of
from annotation_site.management.base import SiteCommand
from annotation_site.workers.selectors import workers_extracting
from ffn_extract.chosen_vectors import places_given
from ffn_extract.errors import FFNExtractError, OptionError
from ffn_extract.options import OPTIONS, ExtractOptions, flag_of


class Command(SiteCommand):
    help = "Queue an extraction: a worker extracts and loads it; the Models page shows how far."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("model", help="a hub id, or a folder's name in the models folder")
        parser.add_argument(
            "--estimate", action="store_true", help="say what it would take, and queue nothing"
        )
        for option in OPTIONS.values():
            parser.add_argument(flag_of(option.name), **argument_of(option))
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
