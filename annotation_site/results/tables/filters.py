"""Filter of the lists, people and annotations of results, checked and canonical."""

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
    """The filter of the tables. None means all; an empty tuple would mean nothing.

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
        """The default filter of a study's own results."""
        return cls(min_tokens=study.min_tokens)

    @classmethod
    def read(cls, stored: dict[str, Any]) -> "Filters":
        """Read the JSON of `canonical`."""
        chosen: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in stored.items()
        }
        return cls(**chosen)

    def canonical(self) -> dict[str, Any]:
        """JSON of the filter: sorted, and without choices that exclude nothing."""
        chosen: dict[str, Any] = {"min_tokens": self.min_tokens}
        for one in fields(self)[1:]:
            value = getattr(self, one.name)
            if value != one.default:
                chosen[one.name] = sorted(value) if isinstance(value, tuple) else value
        return chosen

    def takes_day(self, day: str) -> bool:
        """Whether the filter includes an ISO date."""
        return (self.day_from or day) <= day <= (self.day_to or day)

    def takes_layer(self, kind: str, layer: int) -> bool:
        """Whether the filter includes the lists of a kind and layer."""
        kinds = self.kinds is None or kind in self.kinds
        last = layer if self.layer_to is None else self.layer_to
        return kinds and (self.layer_from or 0) <= layer <= last

    @property
    def takes_a_part(self) -> bool:
        """Whether the filter leaves out annotations of the chosen lists, by people or days."""
        return (self.people, self.day_from, self.day_to) != (None, None, None)

    @property
    def key(self) -> str:
        """A digest of the filter: equal filters, equal key."""
        return hashlib.sha256(json.dumps(self.canonical(), sort_keys=True).encode()).hexdigest()
