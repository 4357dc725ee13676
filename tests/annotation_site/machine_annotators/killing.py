"""A run over many lists, at an endpoint that misbehaves, by workers that are killed.

Everything of the study that a request must not hold is MARKED, so that a hit is certain.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Max

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Assignment, Study
from annotation_site.corpus.models import LanguageModel, Vector
from annotation_site.machine_annotators.models import MachineExchange, MachineRun
from tests.annotation_site.factories import (
    LIST_LENGTH,
    UserFactory,
    answer,
    make_extraction,
    make_study,
    pattern,
    submit,
)
from tests.annotation_site.machine_annotators.fake_endpoint import (
    MODEL,
    Behaviour,
    FakeEndpoint,
    Plan,
    Seen,
    answer_to,
    asked_in,
    seeded,
    usage_of,
)

MARK = "zyxw"
AT_ONCE = 16
KINDS = ("value", "random", "update", "shuffled")
# Digits of every score, whatever stands before them.
SCORES = re.compile(r"3145[89]")
FACTS = re.compile(
    rf"{MARK}|\b(?:{'|'.join(KINDS)}|layers?|vectors?|scores?|norm|neurons?)\b", re.IGNORECASE
)
SHARES: Mapping[Behaviour, float] = {
    Behaviour.SLOW: 0.02,
    Behaviour.RATE_LIMITED: 0.04,
    Behaviour.OVERLOADED: 0.04,
    Behaviour.HANGS_UP: 0.02,
    Behaviour.CLOSES_HALF_WAY: 0.02,
    Behaviour.DRIPS: 0.004,
    Behaviour.SILENT: 0.004,
    Behaviour.ENDLESS: 0.004,
    Behaviour.GZIP_BOMB: 0.004,
    Behaviour.WRONG_TYPE: 0.01,
    Behaviour.REDIRECTS: 0.01,
    Behaviour.BROKEN_JSON: 0.02,
    Behaviour.DEEP_JSON: 0.01,
    Behaviour.NO_CHOICES: 0.02,
    Behaviour.NULL_CONTENT: 0.02,
    Behaviour.NO_USAGE: 0.02,
    Behaviour.LYING_USAGE: 0.02,
    Behaviour.EXPENSIVE: 0.01,
    Behaviour.PROSE: 0.05,
    Behaviour.HOSTILE: 0.05,
    Behaviour.OTHER_LIST: 0.03,
}


def marked_study(lists: int, *, layers: int = 5) -> Study:
    """An open study of so many lists, no two alike, with names and answers that are MARKED."""
    per_layer = lists // (len(KINDS) * layers)
    assert per_layer * len(KINDS) * layers == lists
    model = LanguageModel.objects.create(
        name=f"{MARK}-model", model_type="bert", n_layers=layers, d_model=8, d_ff=per_layer,
        vocab_size=100, vocabulary="subword", weights_digest=f"sha256:{MARK}",
    )  # fmt: skip
    extraction = make_extraction(model=model, layers=layers, per_layer=per_layer, kinds=KINDS)
    rng = random.Random(7)
    vectors = list(Vector.objects.filter(extraction=extraction))
    for one in vectors:
        one.token_ids = rng.sample(range(100), LIST_LENGTH)
        one.scores = [rank + 0.31459 for rank in range(LIST_LENGTH)]
        one.context = f"{MARK} context"
    Vector.objects.bulk_update(vectors, ["token_ids", "scores", "context"], batch_size=1_000)
    study = make_study(
        title=f"{MARK} title", extraction=extraction, kinds=KINDS, lists_per_layer=per_layer,
        researcher=UserFactory(username=f"{MARK}researcher", role=Role.RESEARCHER),
        people=[UserFactory(username=f"{MARK}annotator", email=f"{MARK}@example.org")],
        consent=f"{MARK} consent",
    )  # fmt: skip
    for assignment in Assignment.objects.filter(item__study=study).order_by("position")[:5]:
        said = pattern(1, [1, 2, 3, 4], description=f"{MARK} description")
        submit(assignment, answer(said, comment=f"{MARK} comment"))
    return study


class Killer:
    """Kills the worker that is at work when the endpoint gets some of the requests."""

    def __init__(self, at: Sequence[int], plan: Plan) -> None:
        self.at, self.plan = set(at), plan
        self.child: int | None = None
        self.kills = 0
        self._rng = random.Random(11)

    def __call__(self, seen: Seen, before: int) -> Behaviour:
        if seen.number in self.at:
            # At once it dies in the middle of a request; a little later anywhere else.
            threading.Timer(self._rng.choice((0.0, 0.002, 0.01, 0.03)), self._kill).start()
        return self.plan(seen, before)

    def _kill(self) -> None:
        if self.child is not None:
            child, self.child = self.child, None
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
                self.kills += 1


@dataclass
class Outcome:
    """What is left of a run, beside what the endpoint got."""

    run: MachineRun
    seconds: float
    kills: int
    lists: int
    annotations: int
    lost: int
    doubles: int
    wrong: int  # annotations that are not what the endpoint says of that very list
    got: int  # requests that the endpoint got
    uncounted: int  # requests of a list beyond those that the run counted
    leaks: list[str] = field(default_factory=list)


def environment_of(address: str) -> dict[str, str]:
    """The settings of a worker that shares this process's database and asks an endpoint."""
    name = connection.settings_dict["NAME"]
    database = f"sqlite:///{name}"
    if connection.vendor == "postgresql":
        database = f"{os.environ['TEST_DATABASE_URL'].rpartition('/')[0]}/{name}"
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "annotation_site.settings",
        "DATABASE_URL": database,
        "SITE_URL": "http://127.0.0.1:8000",
        "LLM_ENDPOINT": address,
        "LLM_MODEL": MODEL,
        "LLM_API_KEY": "k" * 40,
        "LLM_PRICE_INPUT": "1",
        "LLM_PRICE_OUTPUT": "4",
        "LLM_PARALLEL": str(AT_ONCE),
        "LLM_SECONDS": "1",
        "LLM_REPLY_TOKENS": "200",
    }


def work_killed(run: MachineRun, endpoint: FakeEndpoint, killer: Killer | None) -> float:
    """Do a run in workers that `killer` kills; returns the seconds. Renews the run."""
    began = time.monotonic()
    command = [sys.executable, "-W", "ignore", "-m", f"{__package__}.dying", str(run.pk)]
    with subprocess.Popen(
        command, env=environment_of(endpoint.address), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if killer is not None:
                killer.child = int(line)
    assert process.returncode == 0
    run.refresh_from_db()
    return time.monotonic() - began


def hostile(seed: int, kills: Sequence[int]) -> Killer:
    """A plan of every misbehaviour in some requests, and a kill at some."""
    return Killer(kills, seeded(seed, SHARES))


def outcome_of(run: MachineRun, endpoint: FakeEndpoint, seconds: float, kills: int) -> Outcome:
    """Compare the database with what the endpoint got."""
    lists = set(run.study.items.filter(use="study").values_list("vector", flat=True))
    rows = Counter(run.annotations.values_list("vector", flat=True))
    counted: Counter[str] = Counter()
    asked_of: dict[int, str] = {}
    for vector, messages in run.exchanges.values_list("vector", "messages"):
        asked_of[vector] = asked_in(messages)
        counted[asked_of[vector]] += 1
    beyond = endpoint.asked() - counted
    messages_of = {seen.asked: seen.messages for seen in endpoint.requests}
    wrong = 0
    for vector, annotation in run.annotations.filter(annotation__isnull=False).values_list(
        "vector", "annotation"
    ):
        said = answer_to(messages_of[asked_of[vector]])
        found = [one["ranks"] for one in annotation["patterns"]]
        wrong += found != [one["ranks"] for one in said["patterns"]]
    return Outcome(
        run=run,
        seconds=seconds,
        kills=kills,
        lists=len(lists),
        annotations=len(rows),
        lost=len(lists - rows.keys()),
        doubles=sum(n - 1 for n in rows.values()),
        wrong=wrong,
        got=len(endpoint.requests),
        uncounted=sum(beyond.values()),
        leaks=leaks_of(endpoint.requests, run),
    )


def leaks_of(requests: Sequence[Seen], run: MachineRun) -> list[str]:
    """Whatever of the study stands in a request besides entries, glosses and texts of its own."""
    own = json.dumps(texts_of(run))
    found = []
    for seen in requests:
        sent = f"{seen.path} {dict(seen.headers)} {seen.raw.decode()}"
        for text in json.loads(own):  # the prompt and the guidelines may say any word
            sent = sent.replace(json.dumps(text)[1:-1], "")
            sent = sent.replace(json.dumps(text, ensure_ascii=False)[1:-1], "")
        found += [hit[0] for search in (FACTS, SCORES) for hit in search.finditer(sent)]
    return found


def texts_of(run: MachineRun) -> list[str]:
    """The study's texts that a request holds on purpose."""
    from annotation_site.machine_annotators.prompts import guidelines_text, prompt_text

    return [
        prompt_text(run.study, run.prompt_version).strip(),
        guidelines_text(run.study, run.guidelines_version).strip(),
    ]


def honest_tokens(requests: Sequence[Seen]) -> int:
    """Tokens that the endpoint read, as it says them itself."""
    return sum(usage_of(seen.raw, "")["prompt_tokens"] for seen in requests)


def most_numbers(run: MachineRun) -> int:
    """The most requests about one list, those of killed workers among them."""
    found: dict[str, Any] = MachineExchange.objects.filter(run=run).aggregate(most=Max("number"))
    return found["most"] or 0
