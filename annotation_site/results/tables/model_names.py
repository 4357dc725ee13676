"""Names of a study's models in tables and on pages."""

from collections import Counter

from annotation_site.annotation.models import Study


def model_names(study: Study) -> dict[int, str]:
    """Names of extractions' models in tables, distinguished if two are equal."""
    found = (
        study.items.order_by("vector__extraction_id")
        .values_list(
            "vector__extraction_id",
            "vector__extraction__model__name",
            "vector__extraction__parameters",
        )
        .distinct()
    )
    rows = {pk: (name, parameters) for pk, name, parameters in found}
    counts = Counter(name for name, _ in rows.values())
    return {
        pk: name
        if counts[name] == 1
        else f"{name} ({parameters.get('projection', 'raw')}, extraction {number})"
        for number, (pk, (name, parameters)) in enumerate(rows.items(), start=1)
    }
