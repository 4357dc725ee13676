"""What tests of the explorer share: studies of value vectors, and responses without what varies."""

import re

from tests.annotation_site.factories import answer, make_study, pattern, submit


def value_study(extraction, **changes):
    """An open study of one list of a value vector."""
    rules = {"kinds": ("value",), "lists_per_layer": 1, "title": "Of values", **changes}
    return make_study(extraction=extraction, **rules)


def lists_of(study):
    """The study's lists, by layer and index."""
    return list(
        study.items.select_related("vector__extraction", "study").order_by(
            "vector__layer", "vector__index"
        )
    )


def annotate(study, description="runs of words", **changes):
    """Everybody's annotation of each list of the study."""
    for item in lists_of(study):
        for n, row in enumerate(item.assignments.filter(purpose="annotation").order_by("pk")):
            said = pattern(1, [1, 2, 3, 4 + n], description=f"{description} {n}", **changes)
            submit(row, answer(said))


def body(response):
    """What a page holds; the CSRF token is drawn anew for every response."""
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", response.content.decode())
