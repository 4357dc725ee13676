"""Run every measurement of a model and write one page of them."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffn_extract.bundle.manifest import MANIFEST_FILE
from ffn_extract.errors import BundleError, FFNExtractError, OptionError, reason_of
from ffn_extract.measurements import MEASUREMENTS, measurement_of
from ffn_extract.measurements.folder import Measured, require_new
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.measurements.run import measure_each, wanted_of
from ffn_extract.measurements.scorers import WORD_LISTS, Scorer
from ffn_extract.options import flag_of
from ffn_extract.paper.html import html_of
from ffn_extract.paper.markdown import markdown_of
from ffn_extract.paper.page import Page, page_of
from ffn_extract.progress import Report, ignore
from ffn_extract.target_lock import locked

HTML_FILE, MARKDOWN_FILE = "paper.html", "paper.md"


@dataclass(frozen=True)
class Written:
    """The page's folder, the page, and the measurements that were refused, with the reasons."""

    folder: Path
    page: Page
    refused: dict[str, str]


def write_paper(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    options: MeasureOptions,
    only: Sequence[str] = (),
    report: Report = ignore,
    scorer: Scorer = WORD_LISTS,
) -> Written:
    """Measure `model` and write `paper.html`, `paper.md` and a folder for each measurement.

    A measurement that is refused is a sentence on the page; what holds for all of them, such as a
    corpus with too few sentences, is raised.

    Parameters
    ----------
    only
        Keys of `MEASUREMENTS`; empty for all of the paper.
    report, scorer
        As in `measure`; a run that was cancelled or killed goes on where it stood when the same
        call is made again.

    Raises
    ------
    FFNExtractError
        With a sentence that says what to do.
    """
    place = Path(out)
    wanted = wanted_of(list(only) or of_the_paper())
    require_new(place)
    # Everything is made beside `out` and renamed, so that the page is whole or not there.
    part = place.with_name(f".{place.name}.paper")
    with locked(place):
        try:
            shutil.rmtree(part, ignore_errors=True)
            names = [one.name for one in wanted]
            measured, refused = measure_each(names, model, part, options, report, scorer)
            reasons = {name: error_as_typed(error) for name, error in refused.items()}
            page = page_of(wanted, measured, reasons, [_manifest(one) for one in measured.values()])
            try:
                part.mkdir(exist_ok=True)
                (part / HTML_FILE).write_text(html_of(page), encoding="utf-8")
                (part / MARKDOWN_FILE).write_text(markdown_of(page), encoding="utf-8")
                if place.exists():
                    place.rmdir()
                part.rename(place)
            except OSError as error:
                raise BundleError(f"Cannot write to {place}: {reason_of(error)}.") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return Written(place, page, reasons)


def of_the_paper() -> list[str]:
    """The measurements that have a place in the paper; those of other papers are by name alone."""
    return [name for name in MEASUREMENTS if measurement_of(name).in_paper is not None]


def _manifest(measured: Measured) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((measured.folder / MANIFEST_FILE).read_bytes())
    return manifest


def error_as_typed(error: FFNExtractError) -> str:
    """The sentence of an error, options named as on the command line."""
    return error.named(flag_of) if isinstance(error, OptionError) else str(error)
