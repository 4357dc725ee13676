"""docs/estimates.md says what the code computes: its worked case, columns and measured numbers."""

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from annotation_site.analysis.estimates.lists import LEAST_AWAY, LEAST_LISTS
from annotation_site.analysis.estimates.models import NOTICEABLE, EstimateInput
from annotation_site.analysis.estimates.proxies import proxies_of
from annotation_site.analysis.estimates.tables import ESTIMATE_COLUMNS
from annotation_site.analysis.strata import Populations
from benchmarks import estimates as benchmark

PAGE = (Path(__file__).parents[3] / "docs/estimates.md").read_text(encoding="utf-8")
KNOWN = ("lists", "estimates")


def rows_under(line: str) -> list[dict[str, str]]:
    """The rows of the Markdown table under a line."""
    _, after = PAGE.split(line)
    lines = after.lstrip("\n").split("\n\n")[0].strip().splitlines()
    header, _, *rows = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    return [dict(zip(header, row, strict=True)) for row in rows]


def worked() -> EstimateInput:
    """The lists of the page."""
    rows = rows_under("<!-- table: lists -->\n")
    lists, said, values = [], [], []
    for row in rows:
        both = [float(Fraction(row[person])) for person in ("ana", "ben")]
        lists.append((row["list"], "m", "value", int(row["layer"]), 2, sum(both) / 2))
        said += [(row["list"], one) for one in both]
        values.append((row["list"], "p", float(Fraction(row["f"]))))
        assert float(Fraction(row["y"])) == pytest.approx(sum(both) / 2)
    numbers = {name: n for n, (name, *_) in enumerate(lists)}
    columns = ["list_id", "model", "kind", "layer", "annotations", "coverage"]
    return EstimateInput(
        pd.DataFrame(lists, columns=columns).replace({"list_id": numbers}).infer_objects(),
        pd.DataFrame(said, columns=["list_id", "coverage"]).replace({"list_id": numbers}),
        ["coverage"],
        populations=Populations({("m", "value", 0): 8, ("m", "value", 1): 16}),
        proxies=proxies_of(
            {"p": "A proxy"},
            [(numbers[name], proxy, value) for name, proxy, value in values],
            [("p", "m", 0, 8, 3.0), ("p", "m", 1, 16, 2.0)],
        ),
    )


def test_every_table_of_the_page_is_known():
    assert tuple(re.findall("<!-- table: (.*) -->", PAGE)) == KNOWN


@pytest.mark.parametrize("row", rows_under("<!-- table: estimates -->\n"), ids=lambda r: r["proxy"])
def test_the_worked_case_is_what_the_code_computes(row):
    (model,) = worked().models
    part = model.part(model.whole, row["proxy"])
    assert part.value[0] == pytest.approx(float(Fraction(row["value"])), abs=1e-12)
    assert part.variance[0] == pytest.approx(float(Fraction(row["variance"])), abs=1e-12)
    assert part.freedom == int(row["degrees of freedom"])
    if row["coefficient"]:
        assert part.coefficient[0] == pytest.approx(float(Fraction(row["coefficient"])), abs=1e-12)
    else:
        assert np.isnan(part.coefficient[0])


def test_columns_and_conditions_are_those_of_the_code():
    rows = rows_under(
        "The variances of both sides add up, with Satterthwaite's degrees of freedom.\n"
    )
    named = re.findall(r"`(\w+)`", " ".join(row["column"] for row in rows))
    taken = {"model", "measure", "value", "low", "high"}  # as in every other table
    assert set(named) == set(ESTIMATE_COLUMNS) - taken
    assert f"needs {LEAST_LISTS} annotated lists, of which {LEAST_AWAY} are not 0" in PAGE
    assert f"from {NOTICEABLE:.0%} of a layer's vectors on" in PAGE


def test_the_measured_numbers_are_within_what_the_command_demands():
    rows = rows_under("than 1.02 for a useless proxy.\n")
    designs = [
        (f"{zeros:.0%}", str(correlation).replace("-", "−"), str(per_layer))
        for zeros in benchmark.ZEROS
        for correlation in benchmark.CORRELATIONS
        for per_layer in benchmark.PER_LAYER
    ]
    keys = ("lists without a pattern", "correlation within layers", "lists per layer")
    assert [tuple(row[key] for key in keys) for row in rows] == designs
    for row in rows:
        held, classical = (
            float(row[name].rstrip("%")) / 100 for name in ("holds the truth", "classical")
        )
        correlation = float(row["correlation within layers"].replace("−", "-"))
        found = benchmark.Row(0.5, correlation, 10, held, classical, float(row["width"]))
        assert found.complaint == "", row
