"""Filters that name the entries of a study's lists: tokens or prefixes."""

from django import template

from annotation_site.annotation.lists.nouns import Nouns, nouns_of

register = template.Library()


@register.filter
def nouns(source: str | None) -> Nouns:
    """The nouns of what lists show, by `Study.list_source`: `one`, `many` and `heading`."""
    return nouns_of(source or "")


@register.filter
def counted(n: int, source: str | None) -> str:
    """A number of entries with its noun: `{{ 3|counted:study.list_source }}` is "3 tokens"."""
    return nouns_of(source or "").counted(n)
