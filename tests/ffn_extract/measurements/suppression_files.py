"""The files that `suppression` writes, as tests read them."""

import csv
import json


def rows_of(folder, name):
    with (folder / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def lines_of(folder):
    text = (folder / "continuations.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


def parameters_of(folder):
    return json.loads((folder / "manifest.json").read_text())["parameters"]
