"""The page of estimates for all value vectors, from the stored tables of a snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from annotation_site.analysis import written
from annotation_site.annotation.models import Study
from annotation_site.exact_words import exact
from annotation_site.proxies.registry import announced, title_of
from annotation_site.results.models import Snapshot
from annotation_site.results.pages.remarks import remark, warnings_of
from annotation_site.results.pages.tables import PageTable
from annotation_site.results.pages.values import (
    Cell,
    Row,
    Write,
    between,
    minus_control,
    number,
    words,
)
from annotation_site.results.snapshots.selectors import rows_of

ESTIMATES, DIFFERENCES = "estimates", "estimate_differences"
CLASSICAL = ""
"""The name that estimates without a proxy have in the tables."""
_COUNTS = ("concepts_per_list", "concepts_per_list_with_stopwords")


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
        _differences(rows_of(snapshot, DIFFERENCES), several=several),
    )


def announced_in(rows: Sequence[Row]) -> str:
    """The proxy of some rows that headline and figure use; empty where none has an estimate."""
    return announced(
        dict.fromkeys(
            row["proxy"]
            for row in rows
            if row["measure"] == "coverage" and row["value"] is not None and _is_whole(row)
        )
    )


def _of_model(model: str, key: str, rows: Sequence[Row], study: Study) -> ModelEstimates:
    proxy = announced_in(rows)
    whole = [row for row in rows if _is_whole(row)]
    coverage = {row["proxy"]: row for row in whole if row["measure"] == "coverage"}
    classical, proxied = coverage[CLASSICAL], coverage[proxy]
    return ModelEstimates(
        key,
        model,
        _sentence(_population(model, study), proxied, proxy),
        _estimated(gettext("From the lists alone"), classical),
        _estimated(_with(proxy), proxied) if proxy else None,
        _narrower(proxied) if proxy else "",
        _by_proxy(coverage),
        _by_measure(whole, proxy, study.categories),
        _by_layers(rows, proxy),
    )


def _is_whole(row: Row) -> bool:
    return row["layer_from"] is None and row["layer_to"] is None


def _with(proxy: str) -> str:
    return gettext("With the proxy “%(proxy)s”") % {"proxy": gettext(title_of(proxy))}


def _estimated(name: str, row: Row) -> Estimated:
    return Estimated(
        name,
        written.share(row["value"]),
        between(row["low"], row["high"], written.share),
        _why(row),
    )


def _why(row: Row) -> str:
    """Why a row has no estimate, or no interval; empty for one that has both."""
    if row["low"] is not None:
        return ""
    said = [
        one
        for one in (row["warning"] or "").split("; ")
        if "no interval" in one or "no estimate" in one
    ]
    return remark("; ".join(said) or row["warning"])


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


def _by_proxy(coverage: dict[str, Row]) -> PageTable:
    """Coverage over all layers, a row for each proxy; one that cannot be used says why."""
    shown = coverage
    names = {proxy: _row_name(proxy) for proxy in shown}
    body = [
        [
            words(names[proxy]),
            _valued(row, written.share),
            Cell(written.decimal(row["relative_width"]) if proxy else written.decimal(1.0)),
            Cell(written.decimal(row["correlation"])),
            Cell(written.decimal(row["coefficient"])),
            number(row["lists"]),
        ]
        for proxy, row in shown.items()
    ]
    return PageTable(
        ESTIMATES,
        gettext("By proxy"),
        [
            gettext("Estimate"),
            gettext("Coverage"),
            gettext("Width relative to the lists alone"),
            gettext("Correlation within layers"),
            gettext("λ"),
            gettext("Lists"),
        ],
        body,
        gettext(
            "A proxy helps where it correlates with people’s coverage within layers; a useless one "
            "changes the estimate by next to nothing. λ is how much of the proxy is used. "
            "Intervals are 95%, conditional on these annotators."
        ),
        warnings_of([(names[proxy], row) for proxy, row in shown.items()]),
    )


def _row_name(proxy: str) -> str:
    return gettext(title_of(proxy)) if proxy else gettext("The lists alone")


def _columns(proxy: str) -> list[str]:
    return [gettext("The lists alone"), *([gettext(title_of(proxy))] if proxy else [])]


def _shown(proxy: str) -> list[str]:
    """The proxies of which a table has a column each."""
    return [CLASSICAL, *([proxy] if proxy else [])]


def _by_measure(whole: Sequence[Row], proxy: str, categories: Sequence[str]) -> PageTable:
    """Every measure over all layers: coverage, its categories, concepts per list."""
    labels = {
        "coverage": gettext("Coverage"),
        **{one: gettext("Coverage: %(category)s") % {"category": one} for one in categories},
        "coverage_with_stopwords": gettext("With stopwords concepts"),
        "concepts_per_list": gettext("Concepts per list"),
        "concepts_per_list_with_stopwords": gettext("Concepts per list, with stopwords concepts"),
    }
    known = {(row["measure"], row["proxy"]): row for row in whole}
    body = [
        [
            words(label),
            *(
                _valued(known[measure, one], _writer(measure))
                for one in _shown(proxy)
                if (measure, one) in known
            ),
        ]
        for measure, label in labels.items()
        if (measure, CLASSICAL) in known
    ]
    return PageTable(
        ESTIMATES,
        gettext("By category, and concepts per list"),
        [gettext("Measure"), *_columns(proxy)],
        body,
    )


def _writer(measure: str) -> Write:
    return written.decimal if measure in _COUNTS else written.share


def _by_layers(rows: Sequence[Row], proxy: str) -> list[PageTable]:
    """Coverage by groups of neighbouring layers, where there are any, and by layer."""
    spans: dict[tuple[int, int], dict[str, Row]] = {}
    for row in rows:
        if row["measure"] == "coverage" and not _is_whole(row):
            spans.setdefault((row["layer_from"], row["layer_to"]), {})[row["proxy"]] = row
    groups = {span: of for span, of in spans.items() if span[0] != span[1]}
    layers = {span: of for span, of in spans.items() if span[0] == span[1]}
    made = []
    if groups:
        caption = gettext(
            "Neighbouring layers are grouped, so that each group has 30 lists or more. Layers "
            "count from 0."
        )
        made.append(_of_spans(gettext("By groups of layers"), groups, proxy, caption))
    if layers:
        title, caption = gettext("By layer"), gettext("Layers count from 0.")
        made.append(_of_spans(title, layers, proxy, caption))
    return made


def _of_spans(
    title: str, spans: dict[tuple[int, int], dict[str, Row]], proxy: str, caption: str
) -> PageTable:
    names = {span: span_name(*span) for span in spans}
    body = [
        [
            words(names[span]),
            *(
                _valued(of[one], written.share, quiet=True) if one in of else Cell()
                for one in _shown(proxy)
            ),
            number(of[CLASSICAL]["lists"] if CLASSICAL in of else None),
        ]
        for span, of in spans.items()
    ]
    behind = [
        (names[span], of[one]) for span, of in spans.items() for one in _shown(proxy) if one in of
    ]
    return PageTable(
        ESTIMATES,
        title,
        [gettext("Layers"), *_columns(proxy), gettext("Lists")],
        body,
        caption,
        warnings_of(behind),
    )


def span_name(first: int, last: int) -> str:
    """ "Layer 3", or "Layers 0 to 3"."""
    if first == last:
        return gettext("Layer %(n)s") % {"n": first}
    return gettext("Layers %(first)s to %(last)s") % {"first": first, "last": last}


def _differences(rows: Sequence[Row], *, several: bool) -> PageTable | None:
    """Differences over all layers: value vectors and random ones, and models side by side."""
    whole = [row for row in rows if _is_whole(row) and row["measure"] == "coverage"]
    pairs: dict[tuple[str, str], dict[str, Row]] = {}
    for row in whole:
        pairs.setdefault((row["first"], row["second"]), {})[row["proxy"]] = row
    if not pairs:
        return None
    known = [p for of in pairs.values() for p, row in of.items() if row["difference"] is not None]
    proxy = announced(dict.fromkeys(known))
    names = {pair: _pair_name(*pair, several=several) for pair in pairs}
    body = [
        [
            words(names[pair]),
            *(
                _valued(of[one], written.points, "difference", ends=written.points_bound)
                if one in of
                else Cell()
                for one in _shown(proxy)
            ),
            number(of[CLASSICAL]["lists_first"] if CLASSICAL in of else None),
            number(of[CLASSICAL]["lists_second"] if CLASSICAL in of else None),
        ]
        for pair, of in pairs.items()
    ]
    behind = [
        (names[pair], of[one]) for pair, of in pairs.items() for one in _shown(proxy) if one in of
    ]
    return PageTable(
        DIFFERENCES,
        gettext("Differences in points"),
        [
            gettext("Difference"),
            *_columns(proxy),
            gettext("Lists of the first"),
            gettext("Lists of the second"),
        ],
        body,
        gettext(
            "Differences of coverage over all value vectors. Controls are draws from infinitely "
            "many, so the proxy helps on the side of the value vectors alone."
        ),
        warnings_of(behind),
    )


def _pair_name(first: str, second: str, *, several: bool) -> str:
    """The difference of a kind from its control, or the two models."""
    one, _, kind = first.rpartition(": ")
    other, _, control = second.rpartition(": ")
    if one != other:
        return gettext("%(first)s minus %(second)s") % {"first": one, "second": other}
    name = minus_control((kind, control))
    return f"{one}: {name}" if several else name


def _valued(
    row: Row,
    write: Write,
    name: str = "value",
    *,
    ends: Write | None = None,
    quiet: bool = False,
) -> Cell:
    """A value with its interval; where it has none, why, unless that stands below the table."""
    return Cell(
        write(row[name]),
        between(row["low"], row["high"], ends or write),
        "" if quiet else _why(row),
    )
