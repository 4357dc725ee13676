"""Titles of extractions: one for each, unique on the site, that says what sets it apart."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext

from annotation_site.accounts import audit
from annotation_site.accounts.models import User
from annotation_site.bounds import TITLE
from annotation_site.corpus.log import log_add
from annotation_site.corpus.models import Extraction
from annotation_site.errors import Invalid
from ffn_extract.options import ALL, OPTIONS

_MODEL = 80  # characters of a model's name in a title


class TitleTaken(Invalid):
    """A title that cannot be given: it is empty, or another extraction has it."""


def title_of(model_source: str, parameters: Mapping[str, Any]) -> str:
    """The title by default: the model, how many lists, and what differs from the usual options.

    "gpt2, 20 per layer"; "gpt2, all value vectors, value and random, seed 7". English, as the data
    that it stands among. Parameters may come from a bundle made elsewhere, so nothing is assumed of
    their types.
    """
    name = str(parameters.get("name") or model_source).rpartition("/")[2] or model_source
    parts = [name[:_MODEL], _extent(parameters)]
    kinds = parameters.get("kinds")
    if isinstance(kinds, list) and set(map(str, kinds)) != set(OPTIONS["kinds"].default):
        parts.append(" and ".join(map(str, kinds)))
    if (seed := parameters.get("seed")) not in (None, OPTIONS["seed"].default):
        parts.append(f"seed {seed}")
    return ", ".join(filter(None, parts))[: TITLE - 40]


def _extent(parameters: Mapping[str, Any]) -> str:
    if isinstance(chosen := parameters.get("vectors"), list):
        return f"{len(chosen):,} chosen vector{'s' if len(chosen) != 1 else ''}"
    per_layer = parameters.get("per_layer", OPTIONS["per_layer"].default)
    return "all value vectors" if per_layer == ALL else f"{per_layer} per layer"


def title_free(title: str, at: datetime | None = None) -> str:
    """The title, or else with a date, or else with a date and a number: the first not taken."""
    begins = Extraction.objects.filter(title__istartswith=title).values_list("title", flat=True)
    taken = {one.lower() for one in begins}
    return next(one for one in _variants(title, at or timezone.now()) if one.lower() not in taken)


def _variants(title: str, at: datetime) -> Iterator[str]:
    yield title
    dated = f"{title}, {at.day} {at:%b %Y}"
    yield dated
    number = 2
    while True:
        yield f"{dated}, {number}"
        number += 1


def title_checked(title: str, *, of: Extraction | None = None) -> str:
    """A title that a person gave, without space around it. Raises TitleTaken."""
    title = " ".join(title.split())
    if not title:
        raise TitleTaken(gettext("Give the extraction a name."))
    same = Extraction.objects.filter(title__iexact=title)
    if of is not None:
        same = same.exclude(pk=of.pk)
    if same.exists():
        raise TitleTaken(
            gettext("Another extraction is called “%(title)s”. Choose another name.")
            % {"title": title}
        )
    return title


def extraction_create(*, title: str = "", model_source: str, **fields: Any) -> Extraction:
    """Create the row of an extraction with the given title, or with its default one.

    Of two that are made at once, the later gets the next default. Raises TitleTaken for a given
    title that another one has.
    """
    given = title_checked(title) if title else ""
    base = given or title_of(model_source, fields.get("parameters", {}))
    while True:
        chosen = given or title_free(base)
        try:
            with transaction.atomic():
                return Extraction.objects.create(title=chosen, model_source=model_source, **fields)
        except IntegrityError:
            if not Extraction.objects.filter(title__iexact=chosen).exists():
                raise  # another constraint
            if given:
                title_checked(given)


@transaction.atomic
def extraction_rename(*, extraction: Extraction, title: str, by: User | None = None) -> None:
    """Give an extraction another title. Raises TitleTaken where it is empty or taken."""
    title = title_checked(title, of=extraction)
    if title == extraction.title:
        return
    try:
        with transaction.atomic():
            Extraction.objects.filter(pk=extraction.pk).update(title=title)
    except IntegrityError:
        title_checked(title, of=extraction)  # somebody took it meanwhile
        raise
    log_add(extraction.pk, f"Renamed to “{title}”.", person=by)
    audit.record("model_renamed", target=extraction, title=title)
    extraction.title = title
