"""`manage.py export STUDY WHAT --out FILE`: write a file that the results and exports pages
download.
"""

from pathlib import Path
from typing import IO, Any

from django.core.management.base import CommandError, CommandParser

from annotation_site.accounts import audit
from annotation_site.annotation.models import Study
from annotation_site.downloads import require_format
from annotation_site.errors import SiteError
from annotation_site.exports import EXPORT_FORMATS
from annotation_site.management.base import SiteCommand
from annotation_site.results.files.downloads import adjudicated_download, table_download
from annotation_site.results.files.jobs import CONTENTS
from annotation_site.results.models import Snapshot
from annotation_site.results.snapshots.waiting import snapshot_finished
from ffn_extract.atomic_file import atomic_file

LABELS = {"jsonl", "parquet"}


class Command(SiteCommand):
    _told = ""
    help = (
        "Write a table of a study's results, its labels or its replication archive to a file. A "
        "table is computed first where it is stale; where a worker computes it already, the "
        "command waits."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("study", help="the study's short name, as in its address")
        parser.add_argument(
            "what", help="a table such as coverage, or labels, adjudicated or archive"
        )
        parser.add_argument("--format", help="csv for tables and jsonl for labels, if not given")
        parser.add_argument("--with-names", action="store_true", help="name people in labels")
        parser.add_argument(
            "--no-wait", action="store_true", help="fail where a worker computes the table"
        )
        parser.add_argument("--out", type=Path, required=True)

    def handle(self, *args: Any, study: str, what: str, out: Path, **options: Any) -> None:
        found = Study.objects.filter(slug=study).first()
        if found is None:
            known = ", ".join(Study.objects.order_by("slug").values_list("slug", flat=True))
            raise CommandError(f"There is no study “{study}”. There are: {known or 'none'}.")
        try:
            with atomic_file(out) as file:
                if what in ("labels", "archive"):
                    self._content(found, what, file, **options)
                elif what == "adjudicated":
                    self._adjudicated(found, file, **options)
                else:
                    self._table(found, what, file, **options)
        except SiteError as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(f"{out} cannot be written: {error.strerror or error}.") from error
        self.stdout.write(f"Wrote {out}")

    def _content(self, study: Study, what: str, file: IO[bytes], **options: Any) -> None:
        known = {"archive"} if what == "archive" else LABELS
        content = options["format"] or ("archive" if what == "archive" else "jsonl")
        if content not in known and not (what == "archive" and content == "zip"):
            raise CommandError(f"Labels are written as {' or '.join(sorted(LABELS))}.")
        with_names = options["with_names"]
        CONTENTS["archive" if what == "archive" else content].write(
            study, file, with_names=with_names, report=self._tell_records
        )
        audit.record("exported", target=study, content=content, with_names=with_names)

    def _tell_records(self, done: int, total: int) -> None:
        self._tell(f"{done:,} of {total:,} annotations")

    def _tell_snapshot(self, snapshot: Snapshot) -> None:
        of = f" ({snapshot.step_done} of {snapshot.step_total})" if snapshot.step_total else ""
        self._tell(f"Waiting for a worker: {snapshot.step or 'not begun'}{of}")

    def _tell(self, text: str) -> None:
        """Progress on stderr, each state once, so that stdout stays a program's."""
        if text != self._told:
            self.stderr.write(text, self.style.NOTICE)
            self._told = text

    def _adjudicated(self, study: Study, file: IO[bytes], **options: Any) -> None:
        extension = options["format"] or "csv"
        adjudicated_download(study=study, extension=extension).write_to(file)

    def _table(self, study: Study, table: str, file: IO[bytes], **options: Any) -> None:
        extension = options["format"] or "csv"
        require_format(EXPORT_FORMATS, extension)  # before anything is computed
        snapshot = snapshot_finished(
            study=study, wait=not options["no_wait"], report=self._tell_snapshot
        )
        if table not in snapshot.tables:
            known = ", ".join([*snapshot.tables, "labels", "adjudicated", "archive"])
            raise CommandError(f"There is no table {table}. There are: {known}.")
        table_download(study=study, snapshot=snapshot, table=table, extension=extension).write_to(
            file
        )
