"""Write a data set: the whole folder. Only workers and commands import this: it loads pandas."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from annotation_site.annotation.models import Assignment, Study
from annotation_site.data_sets.card import card
from annotation_site.data_sets.citation import citation_file
from annotation_site.data_sets.croissant import croissant_file
from annotation_site.data_sets.facts import MADE_UP, Facts, StudyFacts
from annotation_site.data_sets.options import Options
from annotation_site.data_sets.source import Source
from annotation_site.data_sets.tables import tables_write
from annotation_site.exports.archive import CHECKSUMS, ArchiveWriter
from annotation_site.exports.pieces import PIECE_BYTES
from annotation_site.results.files.archive import archive_write

ARCHIVE = "archive.zip"
Report = Callable[[int, int], None]


def data_set_write(
    folder: Path, study: Study, options: Options, *, report: Report = lambda done, total: None
) -> None:
    """Fill an empty folder with a study's data set.

    The same data, options and packages give the same bytes. `report(done, total)` follows the
    annotations, which are written twice. Raises Invalid for a study in which nothing was submitted.
    """
    with (folder / ARCHIVE).open("wb") as file:
        archive_write(
            study,
            file,
            with_names=False,
            left_out=options.left_out,
            report=lambda done, total: report(done, 2 * total),
        )
    source = Source(folder / ARCHIVE)
    try:
        rows = tables_write(folder, source, lambda done, total: report(total + done, 2 * total))
        facts = Facts(source, options, rows, study_facts(study))
        (folder / "guidelines").mkdir()
        for name, text in source.guidelines().items():
            _text(folder / name, text)
        _text(folder / "METHODS.md", source.text("methods.md"))
        _text(folder / "references.bib", source.text("references.bib"))
        cff = citation_file(facts)
        _text(folder / "CITATION.cff", f"# {MADE_UP}\n{cff}" if facts.is_made_up else cff)
        _text(folder / "README.md", card(facts))
        _text(folder / "croissant.json", croissant_file(folder, facts))
        _text(folder / CHECKSUMS, checksums(folder))
    finally:
        source.close()


def study_facts(study: Study) -> StudyFacts:
    """Facts that the archive does not tell of its study."""
    given = Assignment.objects.filter(
        item__study=study, state=Assignment.State.SUBMITTED, membership__participation__isnull=False
    )
    return StudyFacts(
        open_links=given.values("membership").distinct().count(),
        keeps_withdrawn=study.on_withdrawal == Study.OnWithdrawal.KEEP,
    )


def checksums(folder: Path) -> str:
    """The content of checksums.sha256, as `sha256sum -c` reads it."""
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != CHECKSUMS:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            lines.append((path.relative_to(folder).as_posix(), digest))
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(lines))


def folder_zip(folder: Path, file: IO[bytes]) -> None:
    """Pack a folder; the checksums that the zip gets are those of the folder."""
    with ArchiveWriter(file) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name != CHECKSUMS:
                with path.open("rb") as member:
                    archive.add(
                        path.relative_to(folder).as_posix(),
                        iter(lambda: member.read(PIECE_BYTES), b""),
                    )


def _text(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
