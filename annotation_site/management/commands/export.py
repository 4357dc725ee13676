"""`manage.py export STUDY TABLE --format csv --out FILE`: what the results page downloads."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation_site.accounts import audit
from annotation_site.annotation.models import Study
from annotation_site.exports import EXPORT_FORMATS
from annotation_site.results.gold import GOLD_FORMATS
from annotation_site.results.models import Snapshot
from annotation_site.results.selectors import table_of
from annotation_site.results.services import snapshot_refresh_now


class Command(BaseCommand):
    help = "Write a table of a study's results to a file. Computes it first where it is stale."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("study", help="the study's short name, as in its address")
        parser.add_argument("table", choices=["coverage", "gold"])
        parser.add_argument("--format", choices=list(GOLD_FORMATS), default="csv")
        parser.add_argument("--out", type=Path, required=True)

    def handle(self, *args: Any, study: str, table: str, out: Path, **options: Any) -> None:
        found = Study.objects.filter(slug=study).first()
        if found is None:
            known = ", ".join(Study.objects.order_by("slug").values_list("slug", flat=True))
            raise CommandError(f"There is no study “{study}”. There are: {known or 'none'}.")
        name = options["format"]
        gold = table == "gold"
        pieces = GOLD_FORMATS[name].write(found) if gold else self._table(found, table, name)
        part = out.with_name(out.name + ".part")
        with part.open("wb") as file:
            file.writelines(pieces)
        audit.record("exported", target=found, table=table, format=name)
        os.replace(part, out)  # a file that exists is a whole one
        self.stdout.write(f"Wrote {out}")

    def _table(self, study: Study, table: str, name: str) -> Iterator[bytes]:
        export = EXPORT_FORMATS.get(name)
        if export is None:
            raise CommandError(
                f"Only gold is written as {name}. Tables: {', '.join(EXPORT_FORMATS)}."
            )
        snapshot = snapshot_refresh_now(study=study)
        if snapshot.state != Snapshot.State.READY:
            raise CommandError(
                snapshot.error or "A worker computes this table right now. Try again in a minute."
            )
        return export.write(table_of(snapshot, table))
