"""Template tags and filters on the precision that a past study predicts for a plan."""

from typing import Any

from django import template
from django.utils.translation import gettext, ngettext

from annotation_site.analysis import written
from annotation_site.corpus.models import Kind
from annotation_site.results.pages.precision import Design, PlannedPrecision, planned_precision

register = template.Library()


@register.simple_tag(takes_context=True)
def precision_of_plan(context: Any) -> PlannedPrecision | None:
    """The precision of the previewed plan, by the past study that the form names; else None."""
    preview, plan = context.get("preview"), context.get("previewed_plan")
    if preview is None or plan is None:
        return None
    return planned_precision(
        plan=plan,
        preview=preview,
        by=context["request"].user,
        chosen=context["request"].POST.get("variances_from", ""),
        own=context.get("study"),
    )


@register.filter
def half(share: float | None) -> str:
    """Half an interval's width in points: 0.0312 → ±3.1."""
    return written.MISSING if share is None else f"±{written.points_bound(share)}"


@register.filter
def in_points(share: float | None) -> str:
    """A difference in points without a sign: 0.0521 → 5.2."""
    return written.points_bound(share)


@register.filter
def precision_words(found: PlannedPrecision) -> str:
    """The prediction in a few words, beside the heading of its fold."""
    one = found.plan
    if one is None or one.half_width is None:
        return gettext("no prediction yet")
    if one.smallest_difference is None:
        return gettext("%(half)s points") % {"half": half(one.half_width)}
    return gettext("%(half)s points; detects %(least)s points") % {
        "half": half(one.half_width),
        "least": in_points(one.smallest_difference),
    }


@register.filter
def design_words(one: Design) -> str:
    """A design as the beginning of a sentence."""
    lists = ngettext(
        "With %(n)s list per layer and kind", "With %(n)s lists per layer and kind",
        one.lists_per_layer,
    ) % {"n": written.count(one.lists_per_layer)}  # fmt: skip
    people = ngettext("%(n)s person per list", "%(n)s people per list", one.annotators_per_list) % {
        "n": written.count(one.annotators_per_list)
    }
    return gettext("%(lists)s and %(people)s") % {"lists": lists, "people": people}


@register.filter
def kind_words(kind: str) -> str:
    """The name of a kind, such as value vectors."""
    return str(Kind(kind).label)


@register.filter
def by_lists(found: PlannedPrecision) -> list[tuple[int, list[Design]]]:
    """The curve in rows, one per number of lists."""
    numbers = dict.fromkeys(one.lists_per_layer for one in found.curve)
    return [(n, [one for one in found.curve if one.lists_per_layer == n]) for n in numbers]
