"""Tables of the page of estimates: by proxy, by measure, by layers, and side by side."""

from collections.abc import Sequence

from django.utils.translation import gettext

from annotation_site.analysis import written
from annotation_site.proxies.registry import announced, title_sentence
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

ESTIMATES, DIFFERENCES = "estimates", "estimate_differences"
CLASSICAL = ""
"""The name that estimates without a proxy have in the tables."""
_COUNTS = ("concepts_per_list", "concepts_per_list_with_stopwords")


def is_whole(row: Row) -> bool:
    return row["layer_from"] is None and row["layer_to"] is None


def why_none(row: Row) -> str:
    """Why a row has no estimate, or no interval; empty for one that has both."""
    if row["low"] is not None:
        return ""
    said = [
        one
        for one in (row["warning"] or "").split("; ")
        if "no interval" in one or "no estimate" in one
    ]
    return remark("; ".join(said) or row["warning"])


def by_proxy(coverage: dict[str, Row]) -> PageTable:
    """Coverage over all layers, a row for each proxy; one that cannot be used says why."""
    names = {proxy: _row_name(proxy) for proxy in coverage}
    body = [
        [
            words(names[proxy]),
            _valued(row, written.share),
            Cell(written.decimal(row["relative_width"]) if proxy else written.decimal(1.0)),
            Cell(written.decimal(row["correlation"])),
            Cell(written.decimal(row["coefficient"])),
            number(row["lists"]),
        ]
        for proxy, row in coverage.items()
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
        warnings_of([(names[p], row) for p, row in coverage.items() if row["value"] is not None]),
    )


def _row_name(proxy: str) -> str:
    return str(title_sentence(proxy)) if proxy else gettext("The lists alone")


def _columns(proxy: str) -> list[str]:
    return [gettext("The lists alone"), *([str(title_sentence(proxy))] if proxy else [])]


def _shown(proxy: str) -> list[str]:
    """The proxies of which a table has a column each."""
    return [CLASSICAL, *([proxy] if proxy else [])]


def by_measure(whole: Sequence[Row], proxy: str, categories: Sequence[str]) -> PageTable:
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


def by_layers(rows: Sequence[Row], proxy: str) -> list[PageTable]:
    """Coverage by groups of neighbouring layers, where there are any, and by layer."""
    spans: dict[tuple[int, int], dict[str, Row]] = {}
    for row in rows:
        if row["measure"] == "coverage" and not is_whole(row):
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


def differences(rows: Sequence[Row], *, several: bool) -> PageTable | None:
    """Differences over all layers: value vectors and random ones, and models side by side."""
    whole = [row for row in rows if is_whole(row) and row["measure"] == "coverage"]
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
        "" if quiet else why_none(row),
    )
