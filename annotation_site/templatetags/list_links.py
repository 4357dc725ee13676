"""Template tags: the addresses of a study's lists."""

from typing import Any

from django import template

from annotation_site.annotation.models import Study
from annotation_site.results.pages import list_search

register = template.Library()


@register.simple_tag
def lists_url(study: Study, **filters: Any) -> str:
    """The address of *Lists* with a filter: `{% lists_url study kind="value" layer=3 %}`.

    The names are those of `list_search.ListFilters`; `layer` is short for the first and the last.
    """
    return list_search.lists_url(study, **filters)
