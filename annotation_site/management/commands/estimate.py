"""`manage.py estimate STUDY`: estimates for all value vectors, with the proxies that they need."""

import json
import time
from typing import Any

from django.core.management.base import CommandError, CommandParser

from annotation_site.analysis import written
from annotation_site.annotation.models import Study
from annotation_site.errors import Invalid, SiteError
from annotation_site.management.base import SiteCommand
from annotation_site.proxies.models import ProxyRun
from annotation_site.proxies.registry import PROXIES
from annotation_site.proxies.runs import proxy_work
from annotation_site.proxies.selectors import ProxyOfStudy, proxies_of_study
from annotation_site.proxies.services import NO_VALUE_LISTS, proxy_named, study_proxy_request
from annotation_site.proxies.sweeps import proxies_give_back
from annotation_site.results.models import Snapshot
from annotation_site.results.snapshots.selectors import results_state, rows_of
from annotation_site.results.snapshots.waiting import snapshot_finished
from annotation_site.sentences import english

SECONDS = 0.5  # between two looks at what a worker computes
TABLES = ("estimates", "estimate_differences")
COLUMNS = (
    ("layers", "layers"),
    ("measure", "measure"),
    ("proxy", "proxy"),
    ("value", "value"),
    ("interval", "95% interval"),
    ("width", "width"),
    ("correlation", "corr."),
    ("lists", "lists"),
)
_COUNTS = ("concepts_per_list", "concepts_per_list_with_stopwords")


class Command(SiteCommand):
    _told = ""
    help = (
        "Estimate coverage over all value vectors of a study's models. Proxies that can be "
        "computed and are not there yet are computed first, in this process unless a worker does "
        "so already. Name the proxies with --proxy before you look at any estimate."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("study", help="the study's short name, as in its address")
        parser.add_argument(
            "--proxy",
            action="append",
            metavar="NAME",
            help=f"use this proxy; can be given again; all that can be had otherwise: "
            f"{', '.join(PROXIES)}, and language models that annotated every value vector",
        )
        parser.add_argument("--json", action="store_true", help="write both tables as JSON")
        parser.add_argument(
            "--layers", action="store_true", help="print layers and groups of layers, too"
        )

    def handle(
        self, *args: Any, study: str, proxy: list[str] | None, json: bool, layers: bool, **_: Any
    ) -> None:
        found = Study.objects.filter(slug=study).first()
        if found is None:
            known = ", ".join(Study.objects.order_by("slug").values_list("slug", flat=True))
            raise CommandError(f"There is no study “{study}”. There are: {known or 'none'}.")
        try:
            wanted = self._computed(found, proxy)
            snapshot = snapshot_finished(study=found, report=self._tell_snapshot)
        except SiteError as error:
            raise CommandError(error.message) from error
        if json:
            self._write_json(snapshot, wanted)
        else:
            self._write_tables(snapshot, wanted, layers=layers)

    def _computed(self, study: Study, names: list[str] | None) -> list[str]:
        """Compute what is missing; returns the proxies that are known then.

        Raises Invalid where a named proxy cannot be had, and where nothing can be estimated.
        """
        lines = proxies_of_study(study)
        if not lines:
            raise Invalid(english(NO_VALUE_LISTS))
        for name in names or ():
            if name not in {one.proxy.name for one in lines}:
                proxy_named(name)
        lines = [one for one in lines if not names or one.proxy.name in names]
        if not results_state(study).has_annotations:
            raise Invalid("The study has no annotations yet, so nothing can be estimated.")
        for line in lines:
            if line.can_compute or line.is_unfinished:
                self._compute(study, line, is_named=bool(names))
            elif names and not line.is_known:
                raise Invalid(next(english(one.reason) for one in line.of_models if one.reason))
        return [line.proxy.name for line in lines]

    def _compute(self, study: Study, line: ProxyOfStudy, *, is_named: bool) -> None:
        """Compute a proxy here, or wait for the worker that does so. Raises Invalid if it fails.

        One that nobody named is left out with a word where no model has every vector.
        """
        try:
            runs = study_proxy_request(study=study, proxy=line.proxy.name)
        except Invalid as error:
            if is_named:
                raise
            self._tell(f"Without {line.proxy.name}: {error.message}")
            return
        for run in runs:
            self._tell(f"Computing {run.proxy} of {run.extraction}")
            proxy_work(run_id=run.pk, in_worker=False)
            while (seen := ProxyRun.objects.filter(pk=run.pk).first()) and seen.is_unfinished:
                self._tell(f"Waiting for a worker: {seen.done:,} of {seen.total:,} vectors")
                time.sleep(SECONDS)
                proxies_give_back()  # there may be no worker that sweeps
                proxy_work(run_id=run.pk, in_worker=False)
            if seen is None or not seen.is_ready:
                reason = english(seen.error) if seen and seen.error else "It was cancelled."
                raise Invalid(f"The proxy {run.proxy} could not be computed. {reason}")

    def _tell_snapshot(self, snapshot: Snapshot) -> None:
        self._tell(f"Waiting for a worker: {snapshot.step or 'not begun'}")

    def _tell(self, text: str) -> None:
        """Progress on stderr, each state once, so that stdout stays a program's."""
        if text != self._told:
            self.stderr.write(text, self.style.NOTICE)
            self._told = text

    def _write_json(self, snapshot: Snapshot, proxies: list[str]) -> None:
        tables = {
            name: [row for row in rows_of(snapshot, name) if row["proxy"] in ("", *proxies)]
            for name in TABLES
        }
        self.stdout.write(json.dumps(tables, ensure_ascii=False, indent=1))

    def _write_tables(self, snapshot: Snapshot, proxies: list[str], *, layers: bool) -> None:
        rows = [
            row
            for row in rows_of(snapshot, "estimates")
            if row["proxy"] in ("", *proxies) and (layers or row["layer_from"] is None)
        ]
        chosen = snapshot.study.drawn_from
        of_set = f" of the set “{chosen['title']}”" if chosen else ""
        for model in dict.fromkeys(row["model"] for row in rows):
            of_model = [row for row in rows if row["model"] == model]
            vectors = written.count(of_model[0]["vectors"])
            self.stdout.write(f"{model}: estimates for all {vectors} value vectors{of_set}\n")
            shown = [row for row in of_model if row["value"] is not None]
            self._write_columns([_cells(row) for row in shown])
            self._write_warnings(of_model)
        differences = [
            row
            for row in rows_of(snapshot, "estimate_differences")
            if row["proxy"] in ("", *proxies)
            and row["measure"] == "coverage"
            and row["layer_from"] is None
            and row["difference"] is not None
        ]
        for row in differences:
            difference = written.points(row["difference"])
            interval = _interval(row, written.points_bound) or "no interval"
            proxy = row["proxy"] or "no proxy"
            self.stdout.write(
                f"{row['first']} minus {row['second']}: {difference} points ({interval}), {proxy}"
            )

    def _write_columns(self, rows: list[dict[str, str]]) -> None:
        widths = {
            name: max([len(title), *(len(row[name]) for row in rows)]) for name, title in COLUMNS
        }
        lines = [dict(COLUMNS), *rows]
        for row in lines:
            line = "  ".join(row[name].ljust(widths[name]) for name, _ in COLUMNS)
            self.stdout.write(f"  {line.rstrip()}")

    def _write_warnings(self, rows: list[dict[str, Any]]) -> None:
        """Each warning once, with the proxies and measures that it is about."""
        about: dict[str, list[str]] = {}
        for row in rows:
            if row["warning"]:
                what = f"{row['measure']}, {row['proxy'] or 'no proxy'}"
                if row["measure"] == "coverage":
                    about.setdefault(row["warning"], []).append(what)
        for warning, whose in about.items():
            self.stdout.write(f"  Note ({'; '.join(dict.fromkeys(whose))}): {warning}.")
        self.stdout.write("")


def _cells(row: dict[str, Any]) -> dict[str, str]:
    write = written.decimal if row["measure"] in _COUNTS else written.share
    return {
        "layers": "all" if row["layer_from"] is None else _span(row),
        "measure": row["measure"],
        "proxy": row["proxy"] or "none (classical)",
        "value": write(row["value"]),
        "interval": _interval(row, write) or "none",
        "width": written.decimal(row["relative_width"]) if row["proxy"] else "1.00",
        "correlation": written.decimal(row["correlation"]),
        "lists": written.count(row["lists"]),
    }


def _span(row: dict[str, Any]) -> str:
    first, last = row["layer_from"], row["layer_to"]
    return str(first) if first == last else f"{first}–{last}"


def _interval(row: dict[str, Any], write: Any) -> str:
    if row["low"] is None:
        return ""
    return f"{write(row['low']).rstrip('%')} to {write(row['high'])}"
