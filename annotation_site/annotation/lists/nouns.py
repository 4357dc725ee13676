"""Nouns for the entries of a list: tokens or prefixes, in the language of the page."""

from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation_site.annotation.models import Study


@dataclass(frozen=True)
class Nouns:
    """The noun of a list's entries. Sentences take it in, so that none is there twice."""

    one: str
    many: str
    heading: str
    is_prefix: bool

    def counted(self, n: int) -> str:
        """The number with its noun: "1 token", "3 prefixes"."""
        if self.is_prefix:
            return ngettext("%(n)s prefix", "%(n)s prefixes", n) % {"n": f"{n:,}"}
        return ngettext("%(n)s token", "%(n)s tokens", n) % {"n": f"{n:,}"}


def nouns_of(source: str) -> Nouns:
    """The nouns of what a study's lists show."""
    if source == Study.ListSource.TRIGGER_PREFIXES:
        return Nouns(_("prefix"), _("prefixes"), _("Prefixes"), is_prefix=True)
    return Nouns(_("token"), _("tokens"), _("Tokens"), is_prefix=False)
