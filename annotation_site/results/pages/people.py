"""People and lists behind the numbers: their names on pages, and links to *Lists*."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from annotation_site.annotation.models import Study
from annotation_site.results.pages.list_search import lists_url
from annotation_site.results.pages.values import Row, group_name
from annotation_site.results.snapshots.selectors import Person


@dataclass(frozen=True)
class Behind:
    """Names and links for the rows of a study's tables.

    Tables hold codes; researchers read names. A row's link leads to *Lists* with the row's filter
    in the address.
    """

    study: Study
    people: Mapping[str, Person]
    several_models: bool = False

    def named(self, code: Any) -> str:
        """A person's name, a machine annotator's name, or everybody."""
        if code is None:
            return gettext("everybody")
        return self.people[code].name if code in self.people else str(code)

    def pair(self, row: Row) -> str:
        both = {"first": self.named(row["first"]), "second": self.named(row["second"])}
        return gettext("%(first)s and %(second)s") % both

    def group(self, row: Row) -> str:
        """Model, kind, layer and category of a row; without the model where there is one alone."""
        if self.several_models or len(row.keys() & {"kind", "layer", "category"}) == 0:
            return group_name(row)
        return group_name({name: value for name, value in row.items() if name != "model"})

    def lists_of(self, row: Row, **more: Any) -> str:
        """The lists of a row's model, kind and layer."""
        query: dict[str, Any] = {}
        if self.several_models and row.get("model"):
            query["model"] = row["model"]
        if row.get("kind"):
            query["kind"] = row["kind"]
        if row.get("layer") is not None:
            query |= {"layer_from": row["layer"], "layer_to": row["layer"]}
        return self.lists(**query, **more)

    def lists_by(self, code: Any) -> str:
        """The lists that a person has submitted; empty for somebody who is no person."""
        return self.lists(person=self.people[code].public_id) if code in self.people else ""

    def lists(self, **query: Any) -> str:
        """The address of *Lists*: `model`, `kind`, `layer_from`, `layer_to`, `state`, `person`,
        `order`.
        """
        return lists_url(self.study, **query)
