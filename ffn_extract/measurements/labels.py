"""Value vectors by what people said of them, from a file that a study exports.

Two files are read: the adjudicated annotations as CSV (`adjudicated.csv`, with patterns as JSON in
a cell) and the labels as JSON lines (`labels.jsonl`). Of labels, those count that tables use: of
the purpose annotation, neither surplus nor by a person who was not blind.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffn_extract.bundle import ModelInfo
from ffn_extract.chosen_vectors import Place
from ffn_extract.errors import OptionError
from ffn_extract.formulas import restored

MOST_BYTES = 1 << 30
MOST_LETTERS = 1 << 24  # of a line: a list with all its patterns
_NEEDED = ("model", "kind", "layer", "index", "patterns")
_WAY_OUT = (
    "Give what a study exports: its adjudicated annotations as CSV, or its labels as JSON lines."
)


@dataclass(frozen=True)
class Labelled:
    """Vectors with a pattern that was asked for, by how many annotations have one.

    Ties: the lower layer, then the lower index. `descriptions` are those of such patterns, by
    vector. `made_up` says that no person gave some of the annotations.
    """

    places: Sequence[Place]
    annotations: Mapping[Place, int]
    descriptions: Mapping[Place, Sequence[str]]
    made_up: bool


def labelled_vectors(
    path: Path, described: Sequence[str], category: str | None, model: ModelInfo
) -> Labelled:
    """The value vectors of `model` with a pattern that was asked for.

    Its description has one of the words `described` and it is of the `category`, where each is
    given. Words are compared as a whole, in lower case. Raises OptionError for a file that is not
    such an export, or is about another model.
    """
    counts: Counter[Place] = Counter()
    descriptions: dict[Place, dict[str, None]] = {}
    others: set[str] = set()
    own = made_up = False
    for number, record in enumerate(_records(path), start=1):
        if not _is_of(record, model):
            others.add(str(record["model"])[:100])
            continue
        own = True
        if record["kind"] != "value" or not _counts(record):
            continue
        try:
            place = (int(record["layer"]), int(record["index"]))
            patterns = record["patterns"]
            some = [p for p in patterns if _wanted(p, described, category)]
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise _refusal(path, f"has a record {number} that is no annotation") from error
        if some:
            counts[place] += 1
            descriptions.setdefault(place, {}).update({str(p["description"]): None for p in some})
            made_up = made_up or record.get("made_up") in (True, "1", 1)
    if not own:
        raise OptionError.about(
            "labels",
            f"has no annotation of {model.name}; it has {', '.join(sorted(others)[:3]) or 'none'}. "
            "Give the labels of this model, or its name there with --name.",
        )
    places = sorted(counts, key=lambda place: (-counts[place], place))
    return Labelled(places, counts, {p: list(d) for p, d in descriptions.items()}, made_up)


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    """Records with at least the fields that both files share."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _refusal(path, f"is larger than {MOST_BYTES >> 20:,} MiB")
        read = _table if path.suffix.lower() == ".csv" else _lines
        for record in read(path):
            missing = [name for name in _NEEDED if record.get(name) is None]
            if missing:
                raise _refusal(path, f"has no field {missing[0]!r}")
            yield record
    except OSError as error:
        raise _refusal(path, f"cannot be read: {error.strerror}") from error
    except (UnicodeError, RecursionError, ValueError, csv.Error) as error:
        raise _refusal(path, "is neither CSV nor JSON lines as a study writes them") from error


def _table(path: Path) -> Iterator[Mapping[str, Any]]:
    csv.field_size_limit(MOST_LETTERS)
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file, strict=True):
            cells = {name: restored(text) for name, text in row.items() if text is not None}
            if "patterns" in cells:
                cells["patterns"] = json.loads(cells["patterns"])
            yield cells


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        while line := file.readline(MOST_LETTERS):
            if line.strip():
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise ValueError("not an object")
                yield record


def _is_of(record: Mapping[str, Any], model: ModelInfo) -> bool:
    """By the fingerprint of the weights, where the record has one, else by the name."""
    digest = record.get("weights_digest")
    return bool(digest == model.fingerprint if digest else record["model"] == model.name)


def _counts(record: Mapping[str, Any]) -> bool:
    """Adjudicated annotations have no purpose of their own, and all count."""
    if "purpose" not in record:
        return True
    return record["purpose"] == "annotation" and not (record["surplus"] or record["unblinded"])


def _wanted(pattern: Mapping[str, Any], described: Sequence[str], category: str | None) -> bool:
    words = re.findall(r"\w+", pattern["description"].lower())
    by_words = not described or any(word in words for word in described)
    return by_words and (category is None or pattern["category"] == category)


def _refusal(path: Path, fault: str) -> OptionError:
    return OptionError.about("labels", f"{path.name} {fault}. {_WAY_OUT}")
