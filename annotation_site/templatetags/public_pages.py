"""Template tags on the public pages that a change to a study would switch off."""

from collections.abc import Iterable

from django import template

from annotation_site.annotation.models import Study
from annotation_site.corpus.models import Extraction
from annotation_site.public.standing import published_of_models, published_sharing

register = template.Library()


@register.simple_tag
def public_pages_ended(study: Study) -> str:
    """Titles of the published studies that share a vector with a study, itself among them.

    They are switched off when people begin to annotate the study's lists. Everybody can read these
    titles, so anybody who runs the study may.
    """
    return _quoted(one.study.title for one in published_sharing(study) if one.is_public)


@register.simple_tag
def public_pages_of(extractions: Iterable[Extraction] | None) -> str:
    """Titles of the published studies of some extractions' models."""
    return _quoted(study.title for study in published_of_models(extractions or []))


def _quoted(titles: Iterable[str]) -> str:
    return ", ".join(f"“{title}”" for title in sorted(titles))
