"""Run every measurement of a model and write one page of them."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ffn_extract.bundle.manifest import MANIFEST_FILE
from ffn_extract.errors import BundleError, OptionError, reason_of
from ffn_extract.measurements import MEASUREMENTS, measurement_of
from ffn_extract.measurements.folder import require_new
from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.measurements.run import measure_each
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
) -> Written:
    """Measure `model` and write `paper.html`, `paper.md` and a folder for each measurement.

    A measurement that is refused is a sentence on the page; what holds for all of them, such as a
    corpus with too few sentences, is raised.

    Parameters
    ----------
    only
        Keys of `MEASUREMENTS`; empty for all.
    report
        As in `measure`; a run that was cancelled or killed goes on where it stood when the same
        call is made again.

    Raises
    ------
    FFNExtractError
        With a sentence that says what to do.
    """
    place = Path(out)
    names = list(dict.fromkeys(only)) or list(MEASUREMENTS)
    unknown = sorted(set(names) - set(MEASUREMENTS))
    if unknown:
        raise OptionError(
            f"There is no measurement {', '.join(unknown)}. There are: {', '.join(MEASUREMENTS)}."
        )
    require_new(place)
    with locked(place):
        # Everything is made beside `out` and renamed, so that the page is whole or not there.
        part = place.with_name(f".{place.name}.paper")
        shutil.rmtree(part, ignore_errors=True)
        measured, refused = measure_each(names, model, part, options, report)
        manifests = [
            json.loads((one.folder / MANIFEST_FILE).read_bytes()) for one in measured.values()
        ]
        page = page_of(map(measurement_of, names), measured, refused, manifests)
        try:
            (part / HTML_FILE).write_text(html_of(page), encoding="utf-8")
            (part / MARKDOWN_FILE).write_text(markdown_of(page), encoding="utf-8")
            if place.exists():
                place.rmdir()
            part.rename(place)
        except OSError as error:
            raise BundleError(f"Cannot write to {place}: {reason_of(error)}.") from error
    return Written(place, page, refused)
