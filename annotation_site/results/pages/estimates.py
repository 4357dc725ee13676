"""The page of estimates for all value vectors, from the stored tables of a snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from annotation_site.analysis import written
from annotation_site.annotation.models import Study
from annotation_site.exact_words import exact
from annotation_site.proxies.registry import announced, title_sentence
from annotation_site.results.models import Snapshot
from annotation_site.results.pages.estimate_tables import (
    CLASSICAL,
    DIFFERENCES,
    ESTIMATES,
    by_layers,
    by_measure,
    by_proxy,
    differences,
    is_whole,
    why_none,
)
from annotation_site.results.pages.tables import PageTable
from annotation_site.results.pages.values import Row, between
from annotation_site.results.snapshots.selectors import rows_of


@dataclass(frozen=True)
class Estimated:
    """One estimate of the headline: `why` says why it has no value, or no interval."""

    name: str
    text: str
    between: str
    why: str


@dataclass(frozen=True)
class ModelEstimates:
    """The estimates of one model: its headline, and its tables.

    `sentence` says the headline in words. `proxied` is None where no proxy has an estimate.
    """

    key: str  # of its elements on the page
    model: str
    sentence: str
    classical: Estimated
    proxied: Estimated | None
    narrower: str
    by_proxy: PageTable
    by_measure: PageTable
    by_layers: Sequence[PageTable]


@dataclass(frozen=True)
class EstimatesShown:
    """The estimates of a snapshot."""

    models: Sequence[ModelEstimates]
    differences: PageTable | None


def estimates_shown(snapshot: Snapshot, study: Study) -> EstimatesShown | None:
    """The estimates of a study's snapshot; None for one of an older version, which has none."""
    if ESTIMATES not in snapshot.tables:
        return None
    rows = rows_of(snapshot, ESTIMATES)
    models = list(dict.fromkeys(row["model"] for row in rows))
    several = len(models) > 1
    return EstimatesShown(
        [
            _of_model(model, str(number), [row for row in rows if row["model"] == model], study)
            for number, model in enumerate(models)
        ],
        differences(rows_of(snapshot, DIFFERENCES), several=several),
    )


def announced_in(rows: Sequence[Row]) -> str:
    """The proxy of some rows that headline and figure use; empty where none has an estimate."""
    return announced(
        dict.fromkeys(
            row["proxy"]
            for row in rows
            if row["measure"] == "coverage" and row["value"] is not None and is_whole(row)
        )
    )


def _of_model(model: str, key: str, rows: Sequence[Row], study: Study) -> ModelEstimates:
    proxy = announced_in(rows)
    whole = [row for row in rows if is_whole(row)]
    coverage = {row["proxy"]: row for row in whole if row["measure"] == "coverage"}
    classical, proxied = coverage[CLASSICAL], coverage[proxy]
    return ModelEstimates(
        key,
        model,
        _sentence(_population(model, study), proxied, proxy),
        _estimated(gettext("From the lists alone"), classical),
        _estimated(_with(proxy), proxied) if proxy else None,
        _narrower(proxied) if proxy else "",
        by_proxy(coverage),
        by_measure(whole, proxy, study.categories),
        by_layers(rows, proxy),
    )


def _with(proxy: str) -> str:
    return gettext("With the proxy “%(proxy)s”") % {"proxy": str(title_sentence(proxy))}


def _estimated(name: str, row: Row) -> Estimated:
    return Estimated(
        name,
        written.share(row["value"]),
        between(row["low"], row["high"], written.share),
        why_none(row),
    )


def _population(model: str, study: Study) -> SafeString:
    """The name of what is estimated: a model, or the set of vectors that lists were drawn from."""
    if study.drawn_from is None:
        return exact(model)
    return format_html(
        gettext("the set “{set}” of {model}"),
        set=exact(study.drawn_from["title"]),
        model=exact(model),
    )


def _sentence(population: SafeString, row: Row, proxy: str) -> SafeString:
    """The headline in words."""
    if row["value"] is None:
        return format_html(
            gettext("Nothing can be estimated of all value vectors of {population} yet."),
            population=population,
        )
    interval = between(row["low"], row["high"], written.share)
    said = {
        "population": population,
        "n": written.count(row["vectors"]),
        "share": f"{written.share(row['value'])} ({interval})"
        if interval
        else written.share(row["value"]),
        "lists": _lists(row["lists"]),
    }
    if proxy:
        return format_html(
            gettext(
                "Of the top tokens of all {n} value vectors of {population}, {share} are in a "
                "concept, estimated from {lists} and a proxy that is known of every vector."
            ),
            **said,
        )
    return format_html(
        gettext(
            "Of the top tokens of all {n} value vectors of {population}, {share} are in a concept, "
            "estimated from {lists}."
        ),
        **said,
    )


def _lists(count: int) -> str:
    return ngettext("%(n)s list", "%(n)s lists", count) % {"n": written.count(count)}


def _narrower(row: Row) -> str:
    """How wide the interval with a proxy is against the classical one, in words."""
    width = row["relative_width"]
    if width is None:
        return ""
    percent = round(100 * (1 - width))
    if percent == 0:
        return gettext("Its interval is as wide as the other.")
    message = (
        gettext("Its interval is %(percent)s narrower than the other.")
        if percent > 0
        else gettext("Its interval is %(percent)s wider than the other.")
    )
    return message % {"percent": f"{abs(percent)}%"}
