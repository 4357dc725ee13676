"""Nothing that an annotator can reach tells where a list comes from.

Twin databases: the same tokens, glosses, people and public ids; other models, kinds, layers,
indices, scores and contexts. Every response must be the same, byte for byte, headers included.
"""

import re
import uuid
from datetime import UTC, datetime

import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone

from annotation_site.accounts.models import Role, User
from annotation_site.annotation.models import Assignment, Item, Membership, Study
from annotation_site.corpus.models import Extraction, LanguageModel, Vector
from tests.annotation_site.factories import (
    LanguageModelFactory,
    UserFactory,
    answer,
    client_of,
    make_extraction,
    make_study,
    pattern,
)

pytestmark = pytest.mark.django_db

LISTS = 6
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SECRETS = ("secret-model", "a secret context", "random", "update")


@pytest.fixture(autouse=True)
def _one_moment(monkeypatch):
    """Pages tell times; the twins are looked at in the same moment."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)


def twin(*, kinds, layers, model, context, score, offset):
    """A study with fixed tokens and public ids, and everything else as told."""
    for table in (Study, Extraction, LanguageModel):
        _clear(table)
    User.objects.all().delete()
    extraction = make_extraction(
        layers=1, per_layer=LISTS, kinds=("value",), model=LanguageModelFactory(name=model)
    )
    for n, vector in enumerate(Vector.objects.order_by("index")):
        Vector.objects.filter(pk=vector.pk).update(
            kind=kinds[n % len(kinds)],
            layer=layers[n % len(layers)],
            index=offset + n,
            scores=[score] * 30,
            bottom_token_ids=[offset % 100] * 30,
            context=context,
            norm=score,
        )
    person = UserFactory(username="ada", public_id=uuid.UUID(int=1))
    study = make_study(
        extraction=extraction,
        people=[person],
        researcher=UserFactory(username="rosa", role=Role.RESEARCHER),
        kinds=tuple(set(kinds)),
        lists_per_layer=LISTS,
        consent="Do you agree?",
    )
    Study.objects.update(lease_hours=2)  # so short that home tells when each ends
    # Public ids and the order are random per study; the twins are given the same ones.
    moved = sorted(
        Assignment.objects.select_related("item__vector"), key=lambda a: a.item.vector.token_ids[0]
    )
    Assignment.objects.update(position=F("pk") + 1000)
    for n, assignment in enumerate(moved, 1):
        Assignment.objects.filter(pk=assignment.pk).update(
            public_id=uuid.UUID(int=100 + n), position=n
        )
    return study, person


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
        "/", own, f"{own}next/", f"{own}consent/", f"{own}withdraw/", "/hours/", "/hours.csv",
        "/lists/dialogs/", "/tutorial/", "/tutorial/comparison/",
        "/account/", "/account/password/", "/account/sessions/", "/account/second-factor/",
        "/account/login-service/",
    ]  # fmt: skip
    lists = [f"/lists/{uuid.UUID(int=100 + n)}/" for n in range(1, LISTS + 1)]
    Membership.objects.filter(user=person).update(consent_version=None, consented_at=None)
    seen = [(url, *_response(client, "get", url)) for url in [*pages, lists[0]]]
    agreed = [_form(client, f"{own}consent/", {"version": n}) for n in (7, 1)]  # no such, this
    seen += [(f"{own}consent/", *response) for response in agreed]
    seen += [(url, *_response(client, "get", url)) for url in [*lists, *pages]]
    for n in range(1, LISTS + 1):
        base = f"/api/lists/{uuid.UUID(int=100 + n)}"
        draft = {"base_version": 0, "content": {"answer": {}}, "active_seconds": 0}
        submitted = {
            "base_version": 1,
            "key": str(uuid.UUID(int=n)),
            "answer": answer(pattern(1, [1, 2, 3, 4])),
            "active_seconds": 0,
        }
        skipped = {"base_version": 1, "key": str(uuid.UUID(int=n)), "reason": "x"}
        broken = {**submitted, "answer": answer(pattern(1, [99]))}
        seen.append((base, *_response(client, "put", f"{base}/draft", draft)))
        seen.append((base, *_response(client, "put", f"{base}/draft", draft)))  # a conflict
        seen.append((base, *_response(client, "post", f"{base}/submit", broken)))
        verb, body = ("skip", skipped) if n == 3 else ("submit", submitted)
        seen.append((base, *_response(client, "post", f"{base}/{verb}", body)))
    forbidden = [
        f"/studies/{study.slug}/run/", f"/studies/{study.slug}/run/progress/",
        f"/studies/{study.slug}/run/flags/", f"/studies/{study.slug}/run/lists/",
        f"/studies/{study.slug}/adjudication/", f"/studies/{study.slug}/adjudication/gold.csv",
        f"/studies/{study.slug}/results/summary/",
        f"/adjudication/{uuid.UUID(int=101)}/",
        f"/studies/{study.slug}/results/", f"/studies/{study.slug}/results/status/",
        f"/studies/{study.slug}/results/coverage.csv",
        f"/studies/{study.slug}/figures/0-wide-light.svg",
        "/models/", "/models/enqueue/", "/studies/new/", f"/studies/{study.slug}/texts/",
        "/people/", "/invitations/", "/log/", "/join/a-guess/",
    ]  # fmt: skip
    seen += [(url, *_response(client, "get", url)) for url in [*pages, *forbidden]]
    Study.objects.update(state=Study.State.CLOSED)
    seen += [(url, *_response(client, "get", url)) for url in [*pages, *lists]]
    seen.append((own, *_form(client, f"{own}withdraw/", {})))
    seen += [(url, *_response(client, "get", url)) for url in [*pages, *lists]]
    return seen


def _response(client: Client, method: str, url: str, body=None):
    kwargs = {"data": body, "content_type": "application/json"} if body is not None else {}
    return _seen(getattr(client, method)(url, **kwargs))


def _form(client: Client, url: str, fields):
    return _seen(client.post(url, fields))


def _seen(response):
    content = b"".join(response) if response.streaming else response.content
    # The CSRF token is masked with fresh random bytes in every response, by design.
    text = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", content.decode())
    headers = {k: v for k, v in response.headers.items() if k != "Expires"}  # the time of now
    return response.status_code, headers, text


def test_twin_databases_give_an_annotator_identical_responses():
    first = everything_an_annotator_reaches(
        *twin(
            kinds=("value", "random"),
            layers=(0,),
            model="secret-model",
            context="",
            score=0.25,
            offset=0,
        )
    )
    second = everything_an_annotator_reaches(
        *twin(
            kinds=("update", "value"),
            layers=(0, 1, 7),
            model="other-secret",
            context="a secret context",
            score=99.0,
            offset=40,
        )
    )
    assert len(first) == len(second) > 80
    for one, other in zip(first, second, strict=True):
        assert one == other
    statuses = {status for _, status, _, _ in first}
    assert statuses == {200, 302, 403, 404, 409, 422}


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
