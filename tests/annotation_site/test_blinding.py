"""Nothing that an annotator can reach tells where a list comes from.

Twin databases: the same tokens, glosses, people and public ids; other models, kinds, layers,
indices, scores and contexts. Every response must be the same, byte for byte, headers included.
The study has a pilot, training, silent references and repeats, and what a list is for is told of
training alone.
"""

import re
import uuid
from datetime import UTC, datetime

import pytest
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from annotation_site.accounts import services
from annotation_site.accounts.models import Role, User
from annotation_site.annotation.allocation import plan
from annotation_site.annotation.crowd import joining, links
from annotation_site.annotation.models import Assignment, Item, Membership, Study
from annotation_site.annotation.people.members import annotator_remove
from annotation_site.annotation.studies.services import study_state_change
from annotation_site.corpus.models import (
    Extraction,
    LanguageModel,
    TriggerPrefixes,
    ValueStatistics,
    Vector,
    VectorSet,
)
from annotation_site.corpus.postings import postings_sweep
from annotation_site.measurements.models import Measurement
from annotation_site.traces.models import Trace
from tests.annotation_site.annotation.crowd.people import CHECK, RIGHT, WRONG, make_link
from tests.annotation_site.api.addresses import GET, kwargs
from tests.annotation_site.factories import (
    PREFIXES,
    LanguageModelFactory,
    UserFactory,
    answer,
    client_of,
    give_references,
    make_draft,
    make_extraction,
    make_machine_run,
    make_measurement,
    make_prefixes,
    make_trace,
    make_vector_set,
    pattern,
)

pytestmark = pytest.mark.django_db

# By the order of their tokens, what the extraction's lists are for in both twins.
USES = ("training", "pilot", "study", "study", "study", "reference", "study", "study", "study")
TRAINING, PILOT = 1, 2  # the first numbers; the pilot has nothing else
LISTS = len(USES) + 1  # with a repeat, of the third list, at the end
SKIPPED = 4
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
RULES_OF_PREFIXES = {name: value for name, value in PREFIXES.items() if name != "kinds"}
SECRETS = ("secret-model", "a secret context", "random", "update")


@pytest.fixture(autouse=True)
def _one_moment(monkeypatch):
    """Pages tell times; the twins are looked at in the same moment."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture(autouse=True)
def _one_order(monkeypatch):
    """Orders hang on a secret that each study draws and on ids; both twins get that of tokens."""

    def rank(order_key, person, item, what=""):
        return Item.objects.get(pk=item).vector.token_ids[0] / 100

    monkeypatch.setattr(plan, "order_rank", rank)


def twin(*, kinds, layers, model, context, score, offset, rules=None):
    """A study with fixed entries and public ids, and everything else as told.

    `rules` are those of a study of trigger prefixes; else lists show top tokens.
    """
    for table in (Trace, Study, Measurement, VectorSet, Extraction, LanguageModel):
        _clear(table)
    User.objects.all().delete()
    extraction = make_extraction(
        layers=1, per_layer=len(USES), kinds=("value",), model=LanguageModelFactory(name=model)
    )
    make_measurement(extraction.model, title=f"Saturation of {model}")
    members = [[0, 0], [layers[0], offset]]
    make_vector_set(extraction.model, title=f"A set of {model}", members=members)
    postings_sweep()
    make_trace(prompt=f"A prompt for {model}", is_shared=True, answer=None)
    for n, vector in enumerate(Vector.objects.order_by("index")):
        kind = kinds[n % len(kinds)]
        has_vector = kind != "shuffled"
        Vector.objects.filter(pk=vector.pk).update(
            kind=kind,
            layer=layers[n % len(layers)],
            index=offset + n,
            scores=[score] * 30 if has_vector else None,
            bottom_token_ids=[offset % 100] * 30 if has_vector else None,
            context=context,
            norm=score if has_vector else None,
        )
    place = {"extraction": extraction, "layer": layers[0], "index": offset}
    ValueStatistics.objects.create(**place, norm=score, kurtosis=score, skew=score)
    if rules is None:
        prefix = {"sentence": offset, "prefix": context or model, "coefficient": score}
        TriggerPrefixes.objects.create(**place, kind="key", side="positive", prefixes=[prefix])
    else:
        _prefixes(score, offset)
    person = UserFactory(username="ada", public_id=uuid.UUID(int=1))
    study = make_draft(
        extraction=extraction,
        people=[person],
        researcher=UserFactory(username="rosa", role=Role.RESEARCHER),
        kinds=tuple(set(kinds)),
        lists_per_layer=LISTS,
        consent="Do you agree?",
        training_lists=1,
        training_pass_percent=50,
        reference_lists=1,
        pilot_lists=1,
        repeat_percent=17,
        lease_hours=2,  # so short that home tells when each ends
        **(rules or {}),
    )
    run = make_machine_run(study, name=f"machine-{model}", model=model, error=f"Of {model}.")
    for item in study.items.select_related("vector"):
        Item.objects.filter(pk=item.pk).update(use=USES[item.vector.token_ids[0]])
        said = answer(pattern(1, [1, 2, 3, 4], description=f"what {model} says"))
        run.annotations.create(vector=item.vector, annotation=said)
    give_references(study)
    study_state_change(study=study, state=Study.State.PILOT)
    number(person)
    return study, person


def _prefixes(score, offset):
    """Equal texts for each key in both twins, and other facts about each of them."""
    sign = -1 if offset else 1
    for vector in Vector.objects.all():
        for side in ("positive", "negative"):
            TriggerPrefixes.objects.create(
                extraction=vector.extraction,
                kind=vector.kind,
                layer=vector.layer,
                index=vector.index,
                side=side,
                prefixes=make_prefixes(
                    vector.token_ids[:25], sentence=7_000 + offset, position=300 + offset,
                    coefficient=score, copies=1 + offset, gate_sign=sign, up_sign=sign,
                ),
            )  # fmt: skip


def number(person):
    """Public ids and the order are random per study; the twins are given the same ones."""
    own = Assignment.objects.filter(membership__user=person).select_related("item__vector")
    repeat = own.filter(purpose="repeat").first()
    if repeat is not None:
        repeat.item = Item.objects.get(vector__token_ids__0=2)
        repeat.save()
    order = sorted(own, key=lambda row: (row.purpose == "repeat", row.item.vector.token_ids[0]))
    own.update(position=F("position") + 1000)
    for n, assignment in enumerate(order, 1):
        own.filter(pk=assignment.pk).update(public_id=uuid.UUID(int=100 + n), position=n)


def _clear(table):
    if table is Study:
        Assignment.objects.all().delete()
        Item.objects.all().delete()
        for study in Study.objects.all():
            study.memberships.all().delete()
    if table is Extraction:
        Vector.objects.all().delete()
    table.objects.all().delete()


def everything_an_annotator_reaches(study, person):
    """Every page and reply, in the order of a person's work, after the study is closed too."""
    client = client_of(person)
    own = f"/studies/{study.slug}/"
    pages = [
        "/", own, f"{own}?q=word1", f"{own}?q=pattern", f"{own}next/", f"{own}consent/",
        f"{own}withdraw/", "/hours/", "/hours.csv",
        "/lists/dialogs/", "/tutorial/", "/tutorial/comparison/",
        "/account/", "/account/password/", "/account/sessions/", "/account/second-factor/",
        "/account/login-service/", "/account/tokens/", "/public/", f"/public/{study.slug}/",
        "/api/work", f"/api/work/{study.slug}", f"/api/work/{study.slug}/lists",
        f"/api/work/{study.slug}/lists?state=set+aside", "/api/hours", "/api/me", "/api/tokens",
    ]  # fmt: skip
    lists = [f"/lists/{uuid.UUID(int=100 + n)}/" for n in range(1, LISTS + 1)]
    lists += [f"{url}feedback/" for url in lists]
    lists += [f"/api/lists/{uuid.UUID(int=100 + n)}" for n in range(1, LISTS + 1)]
    lists += [f"{url}/feedback" for url in lists if url.startswith("/api/")]
    following = f"/api/work/{study.slug}/next"
    Membership.objects.filter(user=person).update(consent_version=None, consented_at=None)
    seen = [(url, *_response(client, "get", url)) for url in [*pages, lists[0]]]
    agreed = [_form(client, f"{own}consent/", {"version": n}) for n in (7, 1)]  # no such, this
    seen += [(f"{own}consent/", *response) for response in agreed]
    seen.append((following, *_response(client, "post", following)))
    seen += [(url, *_response(client, "get", url)) for url in [*lists, *pages]]
    for n in (TRAINING, PILOT):
        seen += _work(client, n)
        seen += [(url, *_response(client, "get", url)) for url in [*lists, *pages[:3]]]
    study_state_change(study=study, state=Study.State.OPEN)
    number(person)
    seen += [(url, *_response(client, "get", url)) for url in [*lists, *pages[:3]]]
    for n in range(1, LISTS + 1):
        seen += _work(client, n)
    forbidden = [
        f"/studies/{study.slug}/run/", f"/studies/{study.slug}/run/progress/",
        f"/studies/{study.slug}/run/flags/", f"/studies/{study.slug}/run/lists/",
        f"/studies/{study.slug}/adjudication/", f"/studies/{study.slug}/lists/1/",
        f"/api/studies/{study.slug}/lists/1", f"/api/studies/{study.slug}/lists?kind=value",
        f"/studies/{study.slug}/adjudication/adjudicated.csv",
        f"/studies/{study.slug}/results/summary/",
        f"/adjudication/{uuid.UUID(int=101)}/",
        f"/studies/{study.slug}/results/", f"/studies/{study.slug}/results/status/",
        f"/studies/{study.slug}/results/coverage.csv",
        f"/studies/{study.slug}/figures/coverage-by-kind.svg",
        "/models/", "/models/enqueue/", "/studies/new/", f"/studies/{study.slug}/texts/",
        "/people/", "/invitations/", "/log/", "/join/a-guess/",
        f"/studies/{study.slug}/references/", f"/studies/{study.slug}/links/",
        f"/studies/{study.slug}/links/new/", f"/studies/{study.slug}/payment/",
        f"/studies/{study.slug}/payment.csv", "/part/check/", "/part/done/", "/part/ended/",
        "/part/leave/", "/open/a-guess/",
        f"/studies/{study.slug}/publish/", f"/studies/{study.slug}/publish/status/",
        f"/studies/{study.slug}/publish/draft/index.html",
        *(f"/studies/{study.slug}/machine-annotators/{part}" for part in
          ("", "status/", "prompt/", "new/")),
    ]  # fmt: skip
    seen += [(url, *_response(client, "get", url)) for url in [*pages, *forbidden]]
    one = Assignment.objects.get(public_id=uuid.UUID(int=101))
    for name in GET:  # by name: extractions have other ids
        url = reverse(name, kwargs=kwargs(name, study, one))
        if name != "api:schema":
            seen.append((name, *_response(client, "get", url)))
    extraction = one.item.vector.extraction.public_id
    for name, place in (
        ("explore", []),
        ("vectors", [extraction]),
        ("neuron", [extraction, 0, 0]),
        ("token", [extraction, 1]),
        ("picture", [extraction]),
    ):
        url = reverse(f"explorer:{name}", args=place)
        seen.append((f"explorer:{name}", *_response(client, "get", url)))
    of_set = [VectorSet.objects.get().public_id]
    for name, args in (
        ("search", []),
        ("search_file", ["csv"]),
        ("sets", []),
        ("set_new", []),
        ("set", of_set),
        ("set_file", [*of_set, "csv"]),
    ):
        url = f"{reverse(f'explorer:{name}', args=args)}?tokens=word1"
        seen.append((f"explorer:{name}", *_response(client, "get", url)))
    Study.objects.update(state=Study.State.CLOSED)
    seen += [(url, *_response(client, "get", url)) for url in [*pages, *lists]]
    seen.append((own, *_form(client, f"{own}withdraw/", {})))
    seen += [(url, *_response(client, "get", url)) for url in [*pages, *lists]]
    return seen


def _work(client: Client, n: int):
    """What the page sends of a list, and what else can be sent."""
    base = f"/api/lists/{uuid.UUID(int=100 + n)}"
    draft = {"base_version": 0, "content": {"annotation": {}}, "active_seconds": 0}
    submitted = {
        "base_version": 1,
        "key": str(uuid.UUID(int=n)),
        "annotation": answer(pattern(1, [1, 2, 3, 4])),
        "active_seconds": 0,
    }
    skipped = {"base_version": 1, "key": str(uuid.UUID(int=n)), "reason": "x"}
    broken = {**submitted, "annotation": answer(pattern(1, [99]))}
    yield base, *_response(client, "put", f"{base}/draft", draft)
    yield base, *_response(client, "put", f"{base}/draft", draft)  # a conflict
    yield base, *_response(client, "post", f"{base}/submit", broken)
    verb, body = ("skip", skipped) if n == SKIPPED else ("submit", submitted)
    yield base, *_response(client, "post", f"{base}/{verb}", body)


def _response(client: Client, method: str, url: str, body=None):
    kwargs = {"data": body, "content_type": "application/json"} if body is not None else {}
    return _seen(getattr(client, method)(url, **kwargs))


def _form(client: Client, url: str, fields):
    return _seen(client.post(url, fields))


def _seen(response):
    content = b"".join(response) if response.streaming else response.content
    # The CSRF token is masked with fresh random bytes in every response, by design.
    text = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", content.decode())
    random = {"Expires", "X-Request-ID"}  # the time of now, and what is drawn anew each time
    headers = {k: v for k, v in response.headers.items() if k not in random}
    return response.status_code, headers, text


@pytest.mark.parametrize(
    ("kinds", "other_kinds", "rules"),
    [
        (("value", "random"), ("update", "shuffled"), None),
        pytest.param(("key",), ("random-key", "key"), RULES_OF_PREFIXES, marks=pytest.mark.long),
    ],
    ids=["tokens", "prefixes"],
)
def test_twin_databases_give_an_annotator_identical_responses(kinds, other_kinds, rules):
    first = everything_an_annotator_reaches(
        *twin(
            kinds=kinds,
            layers=(0,),
            model="secret-model",
            context="",
            score=0.25,
            offset=0,
            rules=rules,
        )
    )
    second = everything_an_annotator_reaches(
        *twin(
            kinds=other_kinds,
            layers=(0, 1, 7),
            model="other-secret",
            context="a secret context",
            score=99.0,
            offset=40,
            rules=rules,
        )
    )
    assert len(first) == len(second) > 200
    for one, other in zip(first, second, strict=True):
        assert one == other
    if rules:
        assert any("read of " in text for url, _, _, text in first if url.startswith("/lists/"))
        for url, _, _, text in second:
            for name in ("gate_sign", "up_sign", "coefficient", '"sentence"', "7040"):
                assert name not in text, (url, name)
    statuses = {status for _, status, _, _ in first}
    assert statuses == {200, 302, 403, 404, 405, 409, 422}


def everything_a_participant_reaches(study, ada, monkeypatch):
    """Every page of somebody who joins by an open link, from the link to the code."""
    monkeypatch.setattr(links.secrets, "token_urlsafe", lambda n: "T" * 22)
    monkeypatch.setattr(services.secrets, "token_hex", lambda n: "0" * 10)
    monkeypatch.setattr(joining, "start_key", lambda: uuid.UUID(int=7))
    study_state_change(study=study, state=Study.State.OPEN)
    annotator_remove(membership=ada.memberships.get(), by=study.created_by)
    link = make_link(study, questions=CHECK, most_lists=100, completion_code="DONE")
    client, own = Client(), f"/studies/{study.slug}/"
    pages = [
        f"/open/{link.token}/", "/", own, f"{own}next/", f"{own}consent/", f"{own}withdraw/",
        "/part/check/", "/part/done/", "/part/ended/", "/part/leave/", "/tutorial/", "/hours/",
        "/account/", f"{own}links/", f"{own}payment/", f"{own}payment.csv", "/api/me",
    ]  # fmt: skip

    def look():
        return [(url, *_response(client, "get", url)) for url in pages]

    seen = look()
    seen.append(("start", *_form(client, pages[0], {"key": str(uuid.UUID(int=7))})))
    person = User.objects.get(is_crowd=True)
    User.objects.filter(pk=person.pk).update(public_id=uuid.UUID(int=2))
    seen += look()
    seen.append(("agree", *_form(client, f"{own}consent/", {"version": 1})))
    for answers in (WRONG, RIGHT):
        seen += look()
        seen.append(("check", *_form(client, "/part/check/", answers)))
    for row in Assignment.objects.exclude(membership__user=person):
        Assignment.objects.filter(pk=row.pk).update(public_id=uuid.uuid4())  # hers have these ids
    number(person)
    lists = Assignment.objects.filter(membership__user=person).order_by("position")
    assert {row.purpose for row in lists} == {"training", "annotation", "reference", "repeat"}
    for row in lists:
        page = f"/lists/{row.public_id}/"
        seen.append((page, *_response(client, "get", page)))
        seen += _work(client, row.position)
    return seen + look()


def test_twin_databases_give_a_participant_of_an_open_link_identical_responses(monkeypatch):
    twins = (
        {"kinds": ("value", "random"), "layers": (0,), "model": "secret-model", "context": "",
         "score": 0.25, "offset": 0},
        {"kinds": ("update", "value"), "layers": (0, 1, 7), "model": "other-secret",
         "context": "a secret context", "score": 99.0, "offset": 40},
    )  # fmt: skip
    first, second = (everything_a_participant_reaches(*twin(**one), monkeypatch) for one in twins)
    assert len(first) == len(second) > 100
    for one, other in zip(first, second, strict=True):
        assert one == other
        for secret in ("secret-model", "other-secret", "a secret context"):
            assert secret not in other[3], (other[0], secret)
    assert any("DONE" in text for url, _, _, text in first if url == "/part/done/")


def test_no_response_holds_a_word_of_where_lists_come_from():
    seen = everything_an_annotator_reaches(
        *twin(
            kinds=("update", "random"),
            layers=(3,),
            model="secret-model",
            context="a secret context",
            score=99.0,
            offset=40,
        )
    )
    for url, _, headers, text in seen:
        for secret in SECRETS:
            assert secret not in text, (url, secret)
            assert secret not in repr(headers), (url, secret)


def test_nothing_but_its_tokens_tells_a_repeat_or_a_reference_from_another_list():
    study, person = twin(
        kinds=("value",), layers=(0,), model="secret-model", context="", score=0.25, offset=0
    )
    client = client_of(person)
    Membership.objects.filter(user=person).update(consent_version=1, consented_at=NOW)
    list(_work(client, TRAINING))
    study_state_change(study=study, state=Study.State.OPEN)
    number(person)
    ordinary, reference, repeat = (
        Assignment.objects.filter(membership__user=person, purpose=purpose).order_by("position")[0]
        for purpose in ("annotation", "reference", "repeat")
    )
    told = []
    for row in (ordinary, reference, repeat):
        page = client.get(f"/lists/{row.public_id}/")
        shown = page.context["page"]
        said = [
            _without_what_differs(content.decode())
            for content in (
                page.content,
                *(text.encode() for *_, text in _work(client, row.position)),
            )
        ]
        told.append((sorted(shown["list"]), shown["study"], shown["draft"], said))
    assert told[0] == told[1] == told[2]
    rows = re.findall(r"<li>.*?</li>", client.get(f"/studies/{study.slug}/").content.decode(), re.S)
    told = {
        row.position: _without_what_differs(html)
        for row in (ordinary, reference, repeat)
        for html in rows
        if f"List {row.position}<" in html
    }
    assert len(told) == 3
    assert len(set(told.values())) == 1


def _without_what_differs(text):
    """Without ids, numbers in the order, tokens and senses, and the list that comes next."""
    text = re.sub(r'"next": .*', "", text)
    text = re.sub(r"<bdi[^>]*>word\d+</bdi>", "", text)
    text = re.sub(r'"(tokens|senses|stopwords)": \[.*?\](?=, "|\})', "", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", text)
    text = re.sub(r'"previous": ("[^"]*"|null)', "", text)
    text = re.sub(r'"position": \d+', "", text)
    return re.sub(r"List \d+", "List", text)
