"""`manage.py enqueue_model MODEL`: queue an extraction for a worker."""

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from annotation_site.corpus.forecasts import Forecast, extraction_forecast
from annotation_site.corpus.services import extraction_enqueue
from annotation_site.errors import SiteError
from annotation_site.management.base import SiteCommand
from annotation_site.workers.selectors import workers_extracting
from ffn_extract.chosen_vectors import Place, places_of, read_places
from ffn_extract.errors import FFNExtractError, OptionError
from ffn_extract.options import (
    ALL,
    DRAWN_BESIDE_ALL,
    KINDS,
    NORM_KINDS,
    ORIENTATIONS,
    PROJECTIONS,
    RANDOM_GRAINS,
    TENSOR_OPTIONS,
    ExtractOptions,
    flag_of,
    option_names,
)


def _per_layer(value: str) -> int | str:
    if value.lower() == ALL:
        return ALL
    if not value.isdecimal():
        raise ArgumentTypeError(f"give a whole number, or {ALL}, not {value!r}")
    return int(value)


class Command(SiteCommand):
    help = "Queue an extraction: a worker extracts and loads it; the Models page shows how far."

    def add_arguments(self, parser: CommandParser) -> None:
        defaults = ExtractOptions()
        parser.add_argument("model", help="a hub id, or a folder's name in the models folder")
        parser.add_argument(
            "--estimate", action="store_true", help="say what it would take, and queue nothing"
        )
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
        parser.add_argument(
            "--vectors",
            metavar="LAYER:INDEX,…",
            help="these value vectors in place of a sample, such as 14:518,14:72; both from 0",
        )
        parser.add_argument(
            "--vectors-file", type=Path, metavar="FILE", help="the same, one on each line"
        )
        parser.add_argument("--top-k", type=int, default=defaults.top_k)
        parser.add_argument("--seed", type=int, default=defaults.seed)
        parser.add_argument("--projection", choices=PROJECTIONS, default=defaults.projection)
        parser.add_argument("--random-grain", choices=RANDOM_GRAINS, default=defaults.random_grain)
        parser.add_argument(
            "--corpus",
            default=defaults.corpus,
            metavar="FILE",
            help="texts for updates: a file in the folder of texts, or wordnet",
        )
        parser.add_argument("--corpus-field", default=defaults.corpus_field)
        parser.add_argument("--glosses", default=",".join(defaults.glosses))
        parser.add_argument("--drop-special", action="store_true")
        parser.add_argument("--through-head", action="store_true")
        parser.add_argument("--device", default=defaults.device)
        parser.add_argument("--revision")
        parser.add_argument("--gguf-file", metavar="NAME")
        parser.add_argument("--name", help="what the bundle calls the model")
        for option in TENSOR_OPTIONS:
            if option.endswith("_tensor"):
                what = "for a family that is not known"
                parser.add_argument(flag_of(option), metavar="NAME", help=what)
        parser.add_argument("--orientation", choices=ORIENTATIONS)
        parser.add_argument("--norm-kind", choices=NORM_KINDS)
        parser.add_argument("--norm-offset", type=float, default=defaults.norm_offset, metavar="X")
        parser.add_argument("--norm-epsilon", type=float, metavar="X")
        parser.add_argument(
            "--allow-fewer-layers",
            action="store_true",
            help="read the layers that have the FFN's tensors, where others lack them",
        )

    def handle(self, *args: Any, model: str, **given: Any) -> None:
        values = {name: given[name] for name in option_names()}
        values["kinds"] = tuple(given["kinds"].split(","))
        values["glosses"] = () if given["glosses"] == "none" else tuple(given["glosses"].split(","))
        try:
            values["vectors"] = _chosen(given["vectors"], given["vectors_file"])
            options = ExtractOptions(**values)
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


def _chosen(vectors: str | None, file: Path | None) -> tuple[Place, ...] | None:
    if vectors is None and file is None:
        return None
    return places_of(vectors or "") + (() if file is None else read_places(file))


def _sentence(forecast: Forecast) -> str:
    found = forecast.estimate
    if found is None:
        return "Time, memory and disk are not known until the model's files are here."
    return (
        f"About {found.seconds:,.0f} seconds of one worker, {found.memory_bytes / 1e9:.1f} GB of "
        f"memory and {found.disk_bytes / 1e9:.2f} GB of disk, for {found.lists:,} lists."
    )
