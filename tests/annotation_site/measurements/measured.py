"""Measurements as a worker leaves them, without its work, for tests of pages."""

import json
import math
from typing import Any

from django.utils import timezone

from annotation_site.accounts.models import User
from annotation_site.corpus.models import LanguageModel
from annotation_site.measurements.files import ReadFile, files_store
from annotation_site.measurements.models import Measurement, MeasurementLine
from annotation_site.measurements.options import options_checked
from ffn_extract.measurements.measurement import Figure, Line, Table

COLUMNS = {
    "layer": "layer, counted from 0",
    "group": "dominant (the k largest) or random",
    "k": "number of sub-updates",
    "share": "mean share in Σ ‖s_j‖",
    "median": "median share",
    "low": "lower end of the 95% interval of the mean",
    "high": "its upper end",
    "expected": "k over the number of value vectors",
    "n": "examples with a coefficient that is not 0",
}
EFFECTIVE = {"layer": "layer, counted from 0", "effective_number": "mean of exp(entropy)"}


def make_measurement(
    model: LanguageModel, by: User | None = None, *, layers: int = 4, base: float = 0.1, **more: Any
) -> Measurement:
    """A ready measurement of contribution; of another state, as far as that one is."""
    parameters = options_checked(more.pop("options", {}))
    state = more.setdefault("state", Measurement.State.READY)
    now = timezone.now()
    measurement = Measurement.objects.create(
        **{
            "name": "contribution", "title": "contribution of a model, 2,000 examples",
            "model": model, "model_source": model.name, "corpus_source": "wordnet",
            "corpus_name": "wordnet", "parameters": parameters, "requested_by": by,
            "expected_seconds": 600.0, **more,
        }
    )  # fmt: skip
    lines = ["Queued.", *(["Taken by worker one."] if state != "queued" else [])]
    for text in lines:
        MeasurementLine.objects.create(measurement=measurement, text=text, person=by)
    if state == Measurement.State.READY:
        _finish(measurement, layers, base)
        measurement.started_at = measurement.finished_at = now
        measurement.save()
    return measurement


def _finish(measurement: Measurement, layers: int, base: float) -> None:
    shares = [base + base / 2 * math.sin(layer / 3) for layer in range(layers)]
    rows = [
        (layer, group, k, share * k / 10, share * k / 10, share * k / 11, share * k / 9, k / 64, 20)
        for layer, whole in enumerate(shares)
        for group, ks in (("dominant", range(1, 21)), ("random", (10,)))
        for k in ks
        for share in (whole if group == "dominant" else whole / 5,)
    ]
    effective = [(layer, 40 + 100 * share) for layer, share in enumerate(shares)]
    tables = [
        Table("contribution", tuple(COLUMNS), rows), Table("effective", tuple(EFFECTIVE), effective)
    ]  # fmt: skip
    own = range(layers)
    figure = Figure(
        "contribution", "Contribution of 10 sub-updates to the FFN update", "share",
        [
            Line("10 largest", own, shares, [s / 1.1 for s in shares], [s * 1.1 for s in shares]),
            Line("10 random", own, [s / 5 for s in shares]),
        ],
    )  # fmt: skip
    measurement.about = {
        "title": "Contribution of dominant sub-updates",
        "definition": "s_i = m_i·v_i is the sub-update of value vector v_i. The contribution of "
        "the k largest is their share in Σ ‖s_j‖; a cell is the mean of shares over examples.",
        "source": "Geva et al. (2022), appendix A.3 and figure 6.",
        "columns": {"contribution": COLUMNS, "effective": EFFECTIVE},
        "tables": [table.name for table in tables],
        "figures": [[figure.name, figure.title]],
        "lines": [figure.to_json()],
    }
    measurement.words = (
        f"The 10 largest sub-updates contribute {min(shares):.1%} to {max(shares):.1%} of the FFN "
        "update, by layer; 10 random ones far less.\n\nReadings where every coefficient is 0, "
        "which are left out: 0."
    )
    measurement.manifest = json.dumps({"parameters": measurement.parameters})
    measurement.digest = "sha256:" + "0123456789abcdef" * 4
    files = [ReadFile(f"{table.name}.csv", table.to_csv().encode()) for table in tables]
    files += [
        ReadFile(name, name.encode())
        for name in ("README.md", "contribution.parquet", "contribution.pdf", "contribution.svg",
                     "examples.jsonl", "manifest.json")
    ]  # fmt: skip
    files_store(measurement, files)
