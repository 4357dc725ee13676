"""Options of measurements of tiny models, and their folders as tests read them."""

import csv
import json
from functools import cache

import pyarrow.parquet as pq
import transformers

from ffn_extract.measurements.options import MeasureOptions
from ffn_extract.options import ExtractOptions
from tests.ffn_extract.measurements.plain_measures import PlainExample

OPTIONS = MeasureOptions(
    model=ExtractOptions(name="tiny"), examples=10, seed=5, batch_rows=4, workers=1, resamples=100
)


def options_with(corpus, **changes):
    given = {name: getattr(OPTIONS, name) for name in OPTIONS.__dataclass_fields__}
    return MeasureOptions(**{**given, "corpus": corpus, **changes})


def rows_of(folder, name):
    with (folder / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def number(cell):
    return None if cell == "" else float(cell)


@cache
def plain_examples(folder, measured):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager"
    ).eval()
    draws = {}
    for row in pq.read_table(measured / "contribution" / "draws.parquet").to_pylist():
        draws.setdefault(row["example"], []).append(row["indices"])
    lines = (measured / "contribution" / "examples.jsonl").read_text().splitlines()
    drawn = [json.loads(line) for line in lines]
    return [PlainExample(model, one["ids"], draws[one["example"]]) for one in drawn]
