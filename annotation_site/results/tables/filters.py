"""Which answers a study's results rest on: a choice of its researchers, checked and canonical."""

import hashlib
import json
from dataclasses import dataclass, field, fields
from typing import Any

from django.utils.translation import gettext_lazy as _

from annotation_site.annotation.models import Study

ADJUDICATED = {
    "off": _("annotators' annotations"),
    "on": _("the adjudicated annotation where a list has one"),
    "only": _("only adjudicated annotations"),
}
"""What becomes of adjudicated lists, in words."""


@dataclass(frozen=True)
class Filters:
    """What enters the tables. None takes everything; an empty tuple would take nothing.

    Days are ISO dates, both included, in UTC; people are their codes in the study. `min_tokens` is
    an analysis choice and changes no rule of the study.
    """

    min_tokens: int
    kinds: tuple[str, ...] | None = None
    layer_from: int | None = None
    layer_to: int | None = None
    categories: tuple[str, ...] | None = None
    people: tuple[str, ...] | None = None
    day_from: str | None = None
    day_to: str | None = None
    adjudicated: str = field(default="off")
    machine_annotators: bool = False

    @classmethod
    def of(cls, study: Study) -> "Filters":
        """The choices that a study's own results use."""
        return cls(min_tokens=study.min_tokens)

    @classmethod
    def read(cls, stored: dict[str, Any]) -> "Filters":
        """What `canonical` wrote."""
        chosen: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in stored.items()
        }
        return cls(**chosen)

    def canonical(self) -> dict[str, Any]:
        """As JSON: sorted, and without choices that leave everything in."""
        chosen: dict[str, Any] = {"min_tokens": self.min_tokens}
        for one in fields(self)[1:]:
            value = getattr(self, one.name)
            if value != one.default:
                chosen[one.name] = sorted(value) if isinstance(value, tuple) else value
        return chosen

    def takes_day(self, day: str) -> bool:
        """Whether an ISO date is among the days."""
        return (self.day_from or day) <= day <= (self.day_to or day)

    @property
    def takes_a_part(self) -> bool:
        """Whether some annotations of the chosen lists are left out, of people or of days."""
        return (self.people, self.day_from, self.day_to) != (None, None, None)

    @property
    def key(self) -> str:
        """A digest of the choices: equal choices, equal key."""
        return hashlib.sha256(json.dumps(self.canonical(), sort_keys=True).encode()).hexdigest()
