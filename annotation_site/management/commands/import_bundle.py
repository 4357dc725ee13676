"""`manage.py import_bundle DIR`: load a bundle that `ffn_extract` wrote elsewhere."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from tqdm import tqdm

from annotation_site.corpus.importing import bundle_import
from annotation_site.errors import SiteError
from annotation_site.management.base import SiteCommand
from ffn_extract.errors import FFNExtractError


class Command(SiteCommand):
    help = "Load a bundle. Loading the same bundle again changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("bundle", type=Path, help="the folder that ffn_extract wrote")

    def handle(self, *args: Any, bundle: Path, **options: Any) -> None:
        bars: dict[str, tqdm] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in bars:
                bars[step] = tqdm(total=total, desc=step.replace("_", " "), file=self.stderr)
            bars[step].update(done - bars[step].n)

        try:
            extraction, created = bundle_import(path=bundle, report=report)
        except (FFNExtractError, SiteError) as error:
            raise CommandError(str(error)) from error
        finally:
            for bar in bars.values():
                bar.close()
        counts = extraction.counts
        self.stdout.write(
            f"{'Loaded' if created else 'Already loaded'}: {extraction.model}, "
            f"{counts['vectors']} lists, digest {extraction.bundle_digest}"
        )
