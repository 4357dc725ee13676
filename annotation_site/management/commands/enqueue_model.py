"""`manage.py enqueue_model MODEL`: queue an extraction for a worker."""

from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation_site.corpus.services import extraction_enqueue
from annotation_site.errors import SiteError
from annotation_site.workers.selectors import workers_extracting
from ffn_extract.errors import FFNExtractError
from ffn_extract.options import (
    ALL,
    DRAWN_BESIDE_ALL,
    KINDS,
    PROJECTIONS,
    RANDOM_GRAINS,
    ExtractOptions,
)


def _per_layer(value: str) -> int | str:
    if value != ALL and not value.isdecimal():
        raise ArgumentTypeError(f"give a whole number, or {ALL}, not {value!r}")
    return value if value == ALL else int(value)


class Command(BaseCommand):
    help = "Queue an extraction: a worker extracts and loads it; the Models page shows how far."

    def add_arguments(self, parser: CommandParser) -> None:
        defaults = ExtractOptions()
        parser.add_argument("model", help="a hub id, or a folder's name in the models folder")
        parser.add_argument("--kinds", default=",".join(KINDS))
        parser.add_argument(
            "--per-layer",
            type=_per_layer,
            default=defaults.per_layer,
            metavar="N|all",
            help="vectors per layer and kind; or all, cut by layer for any number of workers",
        )
        parser.add_argument(
            "--drawn-per-layer",
            type=int,
            help=f"random vectors and updates, if not as many; {DRAWN_BESIDE_ALL} beside all",
        )
        parser.add_argument("--top-k", type=int, default=defaults.top_k)
        parser.add_argument("--seed", type=int, default=defaults.seed)
        parser.add_argument("--projection", choices=PROJECTIONS, default=defaults.projection)
        parser.add_argument("--random-grain", choices=RANDOM_GRAINS, default=defaults.random_grain)
        parser.add_argument("--glosses", default=",".join(defaults.glosses))
        parser.add_argument("--drop-special", action="store_true")
        parser.add_argument("--revision")

    def handle(self, *args: Any, model: str, **options: Any) -> None:
        glosses = () if options["glosses"] == "none" else tuple(options["glosses"].split(","))
        try:
            extraction = extraction_enqueue(
                model_source=model,
                options=ExtractOptions(
                    kinds=tuple(options["kinds"].split(",")),
                    glosses=glosses,
                    **{
                        name: options[name]
                        for name in (
                            "per_layer",
                            "drawn_per_layer",
                            "top_k",
                            "seed",
                            "projection",
                            "random_grain",
                            "drop_special",
                            "revision",
                        )
                    },
                ),
            )
        except (FFNExtractError, SiteError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Queued: {extraction.model_source} as {extraction.public_id}")
        if not workers_extracting().exists():
            self.stdout.write("No worker is running; it starts with `manage.py serve`.")
