"""Every number of the tables of machine annotators equals one that was computed anew."""

import random
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pandas as pd
import pytest

from annotation_site.analysis.alternative_annotators import EPSILONS
from annotation_site.machine_annotators.models import MachineAnnotation
from annotation_site.results.snapshots.computation import table_request
from annotation_site.results.tables.dataframes import annotations_of
from annotation_site.results.tables.filters import Filters
from annotation_site.results.tables.registry import TABLES
from annotation_site.results.tables.request import TableRequest
from tests.annotation_site.factories import answer, pattern
from tests.annotation_site.oracle.machines import Machine
from tests.annotation_site.oracle.records import Found, Said, Study
from tests.annotation_site.oracle.shapes import Made, make
from tests.annotation_site.oracle.studies import study_of
from tests.annotation_site.results.machine_runs import make_run

pytestmark = pytest.mark.django_db
NEAR = 1e-9
KEYS = {
    "machine_coverage": ("annotator", "model", "kind"),
    "machine_agreement": ("annotator", "between", "measure"),
}


@pytest.fixture(autouse=True)
def _models_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs are the same to these tables, and take their time."""
    monkeypatch.setattr("annotation_site.results.tables.machine_annotators.MACHINE_ANNOTATORS", {})


def drawn(made: Made, study: Study, name: str, *, like: float, seed: int) -> Machine:
    """A stored run that repeats a person's annotation of a list with the chance `like`."""
    rng = random.Random(f"{name} {seed}")
    run = make_run(made.study, name)
    items = list(made.study.items.order_by("pk").select_related("vector"))
    said: dict[int, Said | None] = {}
    rows = []
    for one in study.own:
        vector = items[one.number - 1].vector
        if (chance := rng.random()) < 0.05:
            continue  # the run did not reach this list
        if chance < 0.15:
            said[one.number] = None
            rows.append(MachineAnnotation(run=run, vector=vector, failure="It is empty."))
            continue
        people = study.by_list.get(one.number, [])
        if people and rng.random() < like:
            given = [(sorted(p.ranks), p.category, p.flagged) for p in rng.choice(people).patterns]
        else:
            given = patterns(rng, study, one.length)
        content = answer(
            *(
                pattern(number, ranks, category=category, stopwords=flag)
                for number, (ranks, category, flag) in enumerate(given, start=1)
            )
        )
        found = tuple(
            Found(
                number,
                frozenset(ranks),
                category,
                # Of the tokens of these studies, every tenth is a stopword.
                2 * sum(vector.token_ids[rank - 1] % 10 == 0 for rank in ranks) > len(ranks)
                if flag is None
                else flag,
            )
            for number, (ranks, category, flag) in enumerate(given, start=1)
        )
        said[one.number] = Said(one, name, "", found, 0, datetime.now(UTC), False, False)
        rows.append(MachineAnnotation(run=run, vector=vector, annotation=content))
    MachineAnnotation.objects.bulk_create(rows)
    return Machine(study, name, said)


def patterns(rng: random.Random, study: Study, length: int) -> list[tuple[list[int], str, Any]]:
    left = rng.sample(range(1, length + 1), length)
    found = []
    for _ in range(rng.randrange(4)):
        ranks = [left.pop() for _ in range(rng.randint(2, 9))]
        found.append((ranks, rng.choice(study.categories), rng.choice([None, None, True, False])))
    return found


def requested(made: Made) -> TableRequest:
    filters = Filters(min_tokens=made.shape.least)
    asked, _ = table_request(made.study, annotations_of(made.study), filters)
    return TableRequest(
        asked.labels, asked.categories, asked.min_tokens, resamples=20,
        machines=asked.machines, machine_failures=asked.machine_failures,
    )  # fmt: skip


def differences(table: pd.DataFrame, keys: tuple[str, ...], wanted: dict) -> list[str]:
    rows = {tuple(row[name] for name in keys): row for row in table.to_dict("records")}
    assert rows.keys() == wanted.keys()
    return [
        f"{key} {column}: {rows[key][column]!r}, and the oracle says {value}"
        for key, row in wanted.items()
        for column, value in row.items()
        if not same(rows[key][column], value)
    ]


def same(has: Any, wanted: Any) -> bool:
    if wanted is None or pd.isna(has):
        return wanted is None and bool(pd.isna(has))
    return abs(Fraction(float(has)) - Fraction(wanted)) <= NEAR


def test_every_number_of_machine_annotators_is_the_one_that_fractions_give():
    made = make("every purpose", seed=1)
    study = study_of(made)
    machines = [
        drawn(made, study, name, like=like, seed=1)
        for name, like in (("machine-a", 0.9), ("machine-b", 0.2))
    ]
    asked = requested(made)
    wanted = {
        "machine_coverage": {k: row for one in machines for k, row in one.coverage().items()},
        "machine_agreement": machines[0].beside_people(),
    }
    for name, keys in KEYS.items():
        table = TABLES[name](asked)
        if name == "machine_agreement":  # of one machine: fractions take their time
            table = table[table["annotator"] == "machine-a"]
        found = differences(table, keys, wanted[name])
        assert not found, "\n".join(found[:40])
    assert_tests(asked, machines)


def assert_tests(asked: TableRequest, machines: list[Machine]) -> None:
    test = TABLES["alternative_annotators"](asked)
    persons = TABLES["alternative_annotator_people"](asked)
    for machine in machines:
        own = test[test["annotator"] == machine.name].set_index("epsilon")
        assert len(own) == len(EPSILONS)
        for epsilon, row in own.iterrows():
            wanted = machine.alternative_test(float(epsilon))
            assert same(row["winning_rate"], wanted.rate)
            assert same(row["advantage"], wanted.advantage)
            assert row["people_tested"] == len(wanted.people)
            assert row["people_left_out"] == len(wanted.left_out)
            assert (row["lists"], row["failed"]) == (wanted.lists, wanted.failed)
        of_people = persons[persons["annotator"] == machine.name].set_index("person")
        outcome = machine.alternative_test(0.2)
        for person, one in outcome.people.items():
            row = of_people.loc[person]
            assert row["p"] == pytest.approx(one.p, abs=1e-12)
            assert row["p_adjusted"] == pytest.approx(one.adjusted, abs=1e-12)
            assert (row["lists"], row["failed"]) == (one.lists, one.failed)
            assert (row["beaten"] == "yes") == one.beaten
        assert outcome.people
