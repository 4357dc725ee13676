"""`manage.py enqueue_measurement NAME MODEL`: enqueue a measurement for a worker."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from annotation_site.corpus.corpora import corpus_taken
from annotation_site.corpus.models import LanguageModel
from annotation_site.errors import SiteError
from annotation_site.management.arguments import argument_of
from annotation_site.management.base import SiteCommand
from annotation_site.measurements.forecasts import measurement_forecast
from annotation_site.measurements.options import OFFERED
from annotation_site.measurements.selectors import measurable_models
from annotation_site.measurements.services import measurement_enqueue
from annotation_site.workers.selectors import workers_extracting
from ffn_extract.measurements import MEASUREMENTS
from ffn_extract.options import WORDNET_CORPUS, flag_of


class Command(SiteCommand):
    help = "Queue a measurement of a model that was extracted here; a worker runs it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("measurement", choices=list(MEASUREMENTS), help="what to measure")
        parser.add_argument("model", help="the name of a model with a ready extraction here")
        parser.add_argument(
            "--estimate", action="store_true", help="say what it would take, and queue nothing"
        )
        parser.add_argument(
            "--corpus",
            default=WORDNET_CORPUS,
            metavar="NAME",
            help="a file's name in CORPORA_DIR, an uploaded corpus' reference, or wordnet",
        )
        for option in OFFERED.values():
            parser.add_argument(flag_of(option.name), **argument_of(option))

    def handle(
        self, *args: Any, measurement: str, model: str, corpus: str, estimate: bool, **given: Any
    ) -> None:
        options = {name: given[name] for name in OFFERED}
        wanted: dict[str, Any] = {
            "name": measurement,
            "model": _model(model.strip()),
            "options": options,
        }
        try:
            if estimate:
                with transaction.atomic():
                    forecast = measurement_forecast(**wanted, corpus=corpus_taken(corpus))
                found = forecast.estimate
                self.stdout.write(
                    f"About {found.seconds:,.0f} seconds of one worker and "
                    f"{found.memory_bytes / 1e9:.1f} GB of memory."
                )
                return
            queued = measurement_enqueue(**wanted, corpus=corpus)
        except SiteError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"Queued: {queued.title} as {queued.public_id}")
        if not workers_extracting().exists():
            self.stdout.write("No worker is running; it starts with `manage.py serve`.")


def _model(name: str) -> LanguageModel:
    """The model of that name, or of the extraction of that folder or hub id; the latest."""
    known = measurable_models()
    found = (
        known.filter(name=name).order_by("-pk").first()
        or known.filter(extraction__model_source=name).order_by("-pk").first()
    )
    if found is None:
        names = ", ".join(known.values_list("name", flat=True)[:10])
        there = f" There are: {names}." if names else ""
        raise CommandError(
            f"No model {name} has a ready extraction here. Queue one with `manage.py "
            f"enqueue_model`.{there}"
        )
    return found
