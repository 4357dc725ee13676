"""How long the results of a study take: ``python -m benchmarks.snapshot [--lists 360]``.

A study of 360 lists, 12 layers × 3 kinds × 10, by four people, two for each list: 720 annotations.
The results of all of them, and then those of a filter, as a worker computes them: read from the
database, every table with its intervals, stored; then the figures. Times are the processor's, of
all cores together, so that other work on the machine does not count; the first results of a
process also load its libraries. A process keeps what the
machine annotators propose. SQLite, in a database of the benchmark's own.
"""

import argparse
import os
import random
import time
import uuid
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from annotation_site.annotation.models import Study
    from annotation_site.results.tables.filters import Filters

LAYERS, KINDS, TOKENS = 12, ("value", "random", "update"), 30
CATEGORIES = ("semantic", "syntactic", "names")
KEPT = 0.85  # of a pattern's tokens, and of patterns
PEOPLE = ("ana", "ben", "cem", "dora")
TARGETS = {"tables": 1.0, "figures": 3.0}  # seconds, on an idle machine
SEED = 0
STEMS = ("walk", "talk", "paint", "light", "water", "stone", "river", "mark", "hand", "back")
ENDINGS = ("", "s", "ed", "ing", "er", "ers", "less", "like", "y")
WORDS = [f"{stem}{ending}" for stem in STEMS for ending in ENDINGS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=int, default=360)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from django.db import connection

    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        measure(study_made(options.lists))
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def study_made(lists: int) -> "Study":
    """A study that two people have annotated, as services would have made it, in bulk."""
    from django.utils import timezone

    from annotation_site.accounts.models import Role, User
    from annotation_site.annotation.models import (
        Assignment,
        Item,
        Membership,
        Pattern,
        PatternMember,
        Revision,
        Study,
    )
    from annotation_site.corpus.models import Extraction, LanguageModel, Token, Vector

    rng = random.Random(SEED)
    of_layer = lists // (LAYERS * len(KINDS))
    model = LanguageModel.objects.create(
        name="model", model_type="gpt2", n_layers=LAYERS, d_model=8, d_ff=1536, vocab_size=900,
        vocabulary="subword", weights_digest="none",
    )  # fmt: skip
    extraction = Extraction.objects.create(model=model, state="ready", bundle_digest="none")
    Token.objects.bulk_create(
        Token(extraction=extraction, token_id=n, text=word, display=word, is_stopword=False)
        for n, word in enumerate(WORDS)
    )
    vectors = Vector.objects.bulk_create(
        Vector(
            extraction=extraction, kind=kind, layer=layer, index=n, norm=1.0,
            token_ids=rng.sample(range(len(WORDS)), TOKENS), scores=[1.0] * TOKENS,
        )
        for layer in range(LAYERS)
        for kind in KINDS
        for n in range(of_layer)
    )  # fmt: skip
    study = Study.objects.create(
        slug="large", title="A study", state="open", categories=list(CATEGORIES),
        kinds=list(KINDS), lists_per_layer=of_layer, annotators_per_list=2,
    )  # fmt: skip
    items = Item.objects.bulk_create(Item(study=study, vector=vector) for vector in vectors)
    researcher = User.objects.create(username="researcher", role=Role.RESEARCHER)
    Membership.objects.create(study=study, user=researcher, role="researcher")
    members = [
        Membership.objects.create(
            study=study, user=User.objects.create(username=name), role="annotator"
        )
        for name in PEOPLE
    ]
    now = timezone.now()
    pairs = [(one, two) for one in range(len(PEOPLE)) for two in range(one)]
    rows = Assignment.objects.bulk_create(
        Assignment(
            item=item, membership=members[person], position=n + 1, state="submitted", version=1,
            active_seconds=rng.randrange(30, 200), opened_at=now, submitted_at=now,
        )
        for n, item in enumerate(items)
        for person in pairs[n % len(pairs)]
    )  # fmt: skip
    Revision.objects.bulk_create(
        Revision(assignment=row, version=1, key=uuid.uuid4(), snapshot={}) for row in rows
    )
    patterns, ranks = [], []
    for place, row in enumerate(rows):
        if place % 2 == 0:  # the first of a list's two people
            true = _patterns(rng)
        for number, (category, members_of) in enumerate(true, start=1):
            seen = [rank for rank in members_of if rng.random() < KEPT]
            if seen and rng.random() < KEPT:
                patterns.append(
                    Pattern(
                        assignment=row, number=number, category=category, stopwords=False,
                        stopwords_proposed=False, description="a few words",
                    )
                )  # fmt: skip
                ranks.append(seen)
    made = Pattern.objects.bulk_create(patterns)
    PatternMember.objects.bulk_create(
        PatternMember(pattern=pattern, rank=rank)
        for pattern, of_pattern in zip(made, ranks, strict=True)
        for rank in of_pattern
    )
    return study


def _patterns(rng: random.Random) -> list[tuple[str, list[int]]]:
    """Up to two patterns of a list, with their categories."""
    order = rng.sample(range(1, TOKENS + 1), TOKENS)
    return [
        (rng.choice(CATEGORIES), order[12 * n : 12 * n + rng.randrange(5, 13)])
        for n in range(rng.randrange(3))
    ]


def measure(study: "Study") -> None:
    """Print what each step takes: in a process that begins, again, and for a filter."""
    from annotation_site.results.tables.filters import Filters

    everything = Filters.of(study)
    value = Filters(min_tokens=study.min_tokens, kinds=("value",))
    found = [computed(study, one) for one in (everything, everything, value)]
    print("| step | the first of a process | all annotations | value vectors |\n|---|---|---|---|")
    for step in found[0]:
        print(f"| {step} | {' | '.join(f'{one[step]:.2f} s' for one in found)} |")
    missed = [step for step, target in TARGETS.items() if found[1][step] > target]
    print(f"Slower than on an idle machine: {', '.join(missed) or 'nothing'}")


def computed(study: "Study", filters: "Filters") -> dict[str, float]:
    """Seconds of processor time of each step, as a worker takes them."""
    from annotation_site.results.snapshots.computation import compute, figures_again
    from annotation_site.results.tables.registry import TABLES

    names = ["reading", *TABLES, "figures' texts"]
    moments = [time.process_time()]
    result = compute(study, filters, progress=lambda *_: moments.append(time.process_time()))
    moments.append(time.process_time())
    figures_again(study, result.tables, ["svg"])
    figures = time.process_time() - moments[-1]
    steps = dict(zip(names, (b - a for a, b in pairwise(moments)), strict=True))
    return {"tables": moments[-1] - moments[0], "figures": figures, **steps}


if __name__ == "__main__":
    main()
