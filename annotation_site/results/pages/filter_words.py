"""A filter of results in words, so that no number stands without what it is of."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from django.utils import dateformat
from django.utils.translation import gettext

from annotation_site.analysis import written
from annotation_site.annotation.lists.nouns import nouns_of
from annotation_site.annotation.models import Study
from annotation_site.corpus.models import Kind
from annotation_site.results.pages.values import kind_name
from annotation_site.results.snapshots.selectors import Person
from annotation_site.results.tables.filters import Filters

MOST_NAMES = 4
"""People that a filter names; of more it gives the number."""


def filter_words(filters: Filters, *, study: Study, people: Mapping[str, Person]) -> str:
    """A filter's name: "Value vectors, layers 6 to 11, ana and ben"; "All annotations"."""
    parts = [*_parts(filters, study, people)]
    if not parts:
        return gettext("All annotations")
    said = ", ".join(parts)
    return said[:1].upper() + said[1:]


def _parts(filters: Filters, study: Study, people: Mapping[str, Person]) -> Iterator[str]:
    if filters.kinds is not None:
        yield _series([kind_name(kind) for kind in Kind.values if kind in filters.kinds])
    yield from _layers(filters.layer_from, filters.layer_to)
    if filters.categories is not None:
        chosen = [one for one in study.categories if one in filters.categories]
        yield gettext("patterns of %(categories)s") % {"categories": _series(chosen)}
    if filters.people is not None:
        yield _people(filters.people, people)
    for day, said in (
        (filters.day_from, gettext("submitted from %(day)s")),
        (filters.day_to, gettext("submitted until %(day)s")),
    ):
        if day is not None:
            yield said % {"day": dateformat.format(date.fromisoformat(day), "j M Y")}
    if filters.adjudicated == "on":
        yield gettext("adjudicated lists as adjudicated")
    elif filters.adjudicated == "only":
        yield gettext("adjudicated lists only")
    if filters.min_tokens != study.min_tokens:
        counted = nouns_of(study.list_source).counted(filters.min_tokens)
        yield gettext("patterns from %(counted)s") % {"counted": counted}
    if filters.machine_annotators:
        yield gettext("machine annotators counted as people")


def _layers(first: int | None, last: int | None) -> Iterator[str]:
    if first is not None and first == last:
        yield gettext("layer %(n)s") % {"n": first}
    elif last is not None:
        yield gettext("layers %(first)s to %(last)s") % {"first": first or 0, "last": last}
    elif first is not None:
        yield gettext("layers from %(n)s") % {"n": first}


def _people(codes: Sequence[str], people: Mapping[str, Person]) -> str:
    chosen = [str(person) for code, person in people.items() if code in codes]
    if len(chosen) > MOST_NAMES:
        said = {"n": written.count(len(chosen)), "total": written.count(len(people))}
        return gettext("%(n)s of %(total)s people") % said
    return _series(chosen) if chosen else gettext("people who are gone")


def _series(words: Sequence[str]) -> str:
    """Words with "and" before the last one."""
    *first, last = words
    if not first:
        return last
    return gettext("%(first)s and %(last)s") % {"first": ", ".join(first), "last": last}
