"""What holds for every address: tokens, errors, pages of answers, limits, repeated requests."""

import json
import time
import uuid
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core.cache import cache
from django.utils import timezone
from rest_framework.test import APIClient

from annotation_site.accounts import throttling
from annotation_site.accounts.models import ApiToken, AuditEntry, Invitation, RequestKey, Role
from annotation_site.accounts.tokens import token_create
from annotation_site.annotation.models import Membership, Study
from annotation_site.annotation.people import joining as people
from annotation_site.api.calls import MOST_ROWS
from tests.annotation_site.api.scripts import bearer, code
from tests.annotation_site.factories import (
    UserFactory,
    answer,
    assignment_of,
    client_of,
    make_extraction,
    make_study,
    pattern,
    submit,
)

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer wrong", "Bearer a b", "Bearer ffn_" + "0" * 64, "Bearer é", "Token x"],
)
def test_a_token_that_does_not_work_gets_401_and_says_what_to_send(header):
    client = APIClient(HTTP_AUTHORIZATION=header)
    response = client.get("/api/me")
    assert code(response)[0] == 401
    assert response["WWW-Authenticate"] == "Bearer"


def test_a_token_counts_rather_than_the_session_beside_it():
    client = bearer(UserFactory(username="ada"))
    client.force_login(UserFactory(username="ben"))
    assert client.get("/api/me").json()["name"] == "ada"


def test_what_is_done_with_a_token_is_logged_under_its_person():
    admin, other = UserFactory(role=Role.ADMIN), UserFactory()
    url = f"/api/people/{other.public_id}/role"
    bearer(admin).post(url, {"role": "researcher"}, format="json")
    entry = AuditEntry.objects.get(action="role_changed")
    assert (entry.actor, entry.target) == (admin.public_id, f"user:{other.public_id}")


def test_every_error_has_the_one_shape():
    study = make_study()
    admin = bearer(UserFactory(role=Role.ADMIN))
    url = f"/api/studies/{study.slug}/state"
    assert code(admin.get("/api/no/such/thing")) == (404, "not_found")
    assert code(APIClient().post("/api/no/such/thing")) == (404, "not_found")
    assert code(admin.get("/api/studies/a%0Ab")) == (404, "not_found")
    assert code(admin.get("/api/studies/none")) == (404, "not_found")
    assert code(admin.delete("/api/studies")) == (405, "method_not_allowed")
    assert code(admin.options("/api/studies")) == (405, "method_not_allowed")
    assert code(admin.post(url, "state=open", content_type="text/plain")) == (
        415, "unsupported_media_type",
    )  # fmt: skip
    assert code(admin.post(url, "{", content_type="application/json")) == (400, "parse_error")
    assert code(admin.post(url, [], format="json")) == (400, "invalid_request")
    assert code(admin.post(url, {"state": "draft"}, format="json")) == (422, "invalid")
    large = json.dumps({"state": "x" * 1_000_001})
    assert code(admin.post(url, large, content_type="application/json")) == (413, "too_large")


def test_a_body_too_large_is_refused_on_the_pages_session_too():
    assignment = assignment_of(make_study())
    body = json.dumps({"content": {"x": "y" * 1_000_001}})
    response = client_of(assignment.membership.user).put(
        f"/api/lists/{assignment.public_id}/draft", body, content_type="application/json"
    )
    assert code(response) == (413, "too_large")


@pytest.mark.parametrize(
    "query",
    [
        "user__password__startswith=p",
        "created_by__password__startswith=p",
        "state__in=open",
        "ordering=seed",
        "format=html",
        "state=nonsense",
        "limit=0",
        f"limit={MOST_ROWS + 1}",
        "limit=many",
        "offset=-1",
        "offset=99999999999999999999",
        "state=%00",
    ],
)
def test_a_filter_that_is_not_offered_is_refused(query):
    client = bearer(UserFactory(role=Role.ADMIN))
    assert code(client.get(f"/api/studies?{query}")) == (400, "invalid_request")
    assert client.get("/api/studies?state=open&limit=1&offset=0").status_code == 200


def test_an_unknown_field_is_refused_by_its_name():
    client = bearer(UserFactory(role=Role.RESEARCHER))
    response = client.post("/api/studies", {"title": "x", "sead": 1}, format="json")
    assert "sead" in response.json()["error"]["details"]


def test_pages_lead_through_all_rows_once():
    client = bearer(UserFactory(role=Role.ADMIN))
    slugs = [make_study(extraction=make_extraction(layers=1)).slug for _ in range(5)]
    seen, url, pages = [], "/api/studies?limit=2", 0
    while url:
        page = client.get(url).json()
        assert page["count"] == 5
        seen += [row["slug"] for row in page["results"]]
        url, pages = page["next"], pages + 1
    assert (sorted(seen), pages) == (sorted(slugs), 3)
    assert page["previous"] == "http://testserver/api/studies?limit=2&offset=2"


@pytest.mark.parametrize("name", ["items", "assignments", "annotations", "people"])
def test_the_number_of_queries_does_not_grow_with_rows(name, django_assert_max_num_queries):
    researcher = UserFactory(role=Role.RESEARCHER)
    study = make_study(researcher=researcher, extraction=make_extraction(per_layer=10))
    for position in range(1, 6):
        submit(assignment_of(study, position), answer(pattern(1, [1, 2, 3, 4])))
    client = client_of(researcher)
    # session, person, the study, count, rows; tokens of the lists, or patterns and their members
    # and whether it is made up
    with django_assert_max_num_queries(8):
        response = client.get(f"/api/studies/{study.slug}/{name}?limit=200")
    assert len(response.json()["results"]) == {
        "items": 60, "assignments": 120, "annotations": 5, "people": 3,
    }[name]  # fmt: skip


def test_too_many_requests_of_ones_tokens_are_told_to_wait(settings, monkeypatch):
    cache.clear()
    # In the middle of a minute, which does not end before the fourth request.
    moment = time.time() // throttling.WINDOW * throttling.WINDOW + 20
    monkeypatch.setattr(throttling, "time", SimpleNamespace(time=lambda: moment))
    settings.API_REQUESTS_PER_MINUTE = 3
    user = UserFactory()
    one, other = bearer(user), bearer(user)
    statuses = [client.get("/api/me").status_code for client in (one, other, one)]
    assert statuses == [200, 200, 200]
    refused = other.get("/api/me")
    assert code(refused) == (429, "throttled")
    assert refused["Retry-After"] == "40"
    assert bearer(UserFactory()).get("/api/me").status_code == 200
    assert client_of(user).get("/api/me").status_code == 200  # the pages' session
    moment += 40
    assert other.get("/api/me").status_code == 200  # the next minute


@pytest.mark.parametrize(
    ("role", "scopes"),
    [
        (Role.ANNOTATOR, ["read", "annotate"]),
        (Role.RESEARCHER, ["read", "annotate", "manage"]),
        (Role.ADMIN, ["read", "annotate", "manage", "admin"]),
    ],
)
def test_scopes_that_are_told_are_never_more_than_the_role_gives(role, scopes):
    user = UserFactory(role=role)
    assert client_of(user).get("/api/me").json()["scopes"] == scopes
    assert bearer(user, "read").get("/api/me").json()["scopes"] == ["read"]
    # As after a change in the database, which revokes nothing.
    ApiToken.objects.update(scopes=["read", "annotate", "manage", "admin"])
    client = bearer(user, "read")
    ApiToken.objects.update(scopes=["read", "annotate", "manage", "admin"])
    assert client.get("/api/me").json()["scopes"] == scopes
    for row in client.get("/api/tokens").json()["results"]:
        assert row["scopes"] == scopes
    page = client_of(user).get("/account/tokens/").content.decode()
    assert page.count(f">{', '.join(scopes)}</span></td>") == 2


class TestIdempotencyKey:
    @pytest.fixture
    def plan(self):
        extraction = make_extraction()
        return {"title": "Once", "extractions": [str(extraction.public_id)]}

    @pytest.fixture
    def client(self):
        return bearer(UserFactory(role=Role.RESEARCHER))

    def post(self, client, body, key="k-1", url="/api/studies"):
        return client.post(url, body, format="json", headers={"Idempotency-Key": key})

    def test_the_same_request_happens_once_and_gets_the_same_answer(self, client, plan):
        first, again = self.post(client, plan), self.post(client, plan)
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.json() == first.json()
        assert again["Idempotent-Replayed"] == "true"
        assert "Idempotent-Replayed" not in first
        assert Study.objects.count() == 1

    def test_another_key_or_none_is_another_request(self, client, plan):
        for key in ("k-1", "k-2"):
            self.post(client, plan, key)
        client.post("/api/studies", plan, format="json")
        assert Study.objects.count() == 3

    def test_the_same_key_with_something_else_is_refused(self, client, plan):
        self.post(client, plan)
        assert code(self.post(client, {**plan, "title": "Twice"})) == (422, "key_reused")
        assert Study.objects.count() == 1

    def test_keys_are_each_persons_own(self, client, plan):
        self.post(client, plan)
        self.post(bearer(UserFactory(role=Role.RESEARCHER)), plan)
        assert Study.objects.count() == 2

    def test_a_refused_request_can_be_put_right_under_its_key(self, client, plan):
        wrong = {**plan, "annotators": [str(uuid.uuid4())]}
        assert self.post(client, wrong).status_code == 422
        assert not RequestKey.objects.exists()
        assert self.post(client, plan).status_code == 201

    def test_after_a_day_a_key_is_new(self, client, plan):
        self.post(client, plan)
        RequestKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
        self.post(client, plan)
        assert Study.objects.count() == 2

    def test_after_a_day_nobodys_answer_is_kept(self, client, plan):
        self.post(client, plan)
        RequestKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
        other = UserFactory(role=Role.RESEARCHER)
        self.post(bearer(other), plan)
        assert list(RequestKey.objects.values_list("user", flat=True)) == [other.pk]

    @pytest.mark.parametrize("key", ["", "x" * 101, "a\tb"])
    def test_a_key_that_is_no_key_is_refused(self, client, plan, key):
        assert code(self.post(client, plan, key)) == (400, "invalid_request")

    def test_whoever_lost_the_study_the_role_or_the_scope_is_not_answered_again(self, plan):
        boss, admin = UserFactory(role=Role.ADMIN), UserFactory(role=Role.ADMIN)
        study, person = make_study(), UserFactory(username="somebody")
        url, body = f"/api/studies/{study.slug}/people", {"person": str(person.public_id)}
        assert self.post(bearer(boss), body, url=url).json()["name"] == "somebody"
        own = self.post(bearer(boss), plan, "k-2").json()["slug"]
        again = self.post(bearer(boss), body, url=url)
        assert (again.status_code, again["Idempotent-Replayed"]) == (201, "true")

        refused = self.post(bearer(boss, "read"), body, url=url)
        assert code(refused) == (403, "scope_missing")
        people.person_role_change(person=boss, role=Role.RESEARCHER, by=admin)
        boss.refresh_from_db()
        refused = self.post(bearer(boss), body, url=url)
        assert (code(refused), "somebody" in refused.content.decode()) == (
            (404, "not_found"),
            False,
        )
        assert self.post(bearer(boss), plan, "k-2").status_code == 201  # still theirs
        Study.objects.get(slug=own).memberships.filter(user=boss).delete()
        assert code(self.post(bearer(boss), plan, "k-2")) == (404, "not_found")
        people.person_role_change(person=boss, role=Role.ANNOTATOR, by=admin)
        boss.refresh_from_db()
        assert code(self.post(bearer(boss), body, url=url)) == (403, "not_allowed")

    def test_of_two_people_with_one_key_each_gets_their_own_answer(self, client, plan):
        other = bearer(UserFactory(role=Role.RESEARCHER))
        first, second = self.post(client, plan), self.post(other, {**plan, "title": "Mine"})
        assert (first.json()["title"], second.json()["title"]) == ("Once", "Mine")
        assert "Idempotent-Replayed" not in second
        assert self.post(other, {**plan, "title": "Mine"}).json() == second.json()
        assert code(self.post(other, plan)) == (422, "key_reused")
        assert Study.objects.count() == 2

    def test_an_invitations_link_is_told_once_and_not_stored(self):
        client = bearer(UserFactory(role=Role.ADMIN))
        first = self.post(client, {}, url="/api/invitations").json()
        again = self.post(client, {}, url="/api/invitations").json()
        assert again == {**first, "link": None}
        assert "/join/" in first["link"]
        assert first["link"].rsplit("/", 2)[1] not in repr(RequestKey.objects.values())
        assert Invitation.objects.count() == 1


def test_a_token_revokes_itself_and_no_other():
    user = UserFactory()
    token, secret = token_create(user=user, name="one", scopes=["read"])
    other, _ = token_create(user=user, name="two", scopes=["read"])
    client = APIClient(HTTP_AUTHORIZATION=f"Bearer {secret}")
    assert code(client.delete(f"/api/tokens/{other.public_id}")) == (403, "not_allowed")
    assert client.delete(f"/api/tokens/{token.public_id}").status_code == 204
    assert client.get("/api/me").status_code == 401
    assert [row["name"] for row in client_of(user).get("/api/tokens").json()["results"]] == ["two"]


@pytest.mark.parametrize("role", [Role.RESEARCHER, Role.ADMIN])
def test_a_token_that_runs_studies_cannot_make_somebody_more_powerful_than_itself(role):
    admin = UserFactory(role=Role.ADMIN)
    narrow, wide = bearer(admin, "read", "manage"), bearer(admin)
    refused = narrow.post("/api/invitations", {"role": role}, format="json")
    assert code(refused) == (403, "scope_missing")
    assert not Invitation.objects.exists()
    assert narrow.post("/api/invitations", {"role": "annotator"}, format="json").status_code == 201
    assert wide.post("/api/invitations", {"role": role}, format="json").status_code == 201


def test_erasing_needs_the_persons_name():
    admin, person = bearer(UserFactory(role=Role.ADMIN)), UserFactory(username="nina")
    url = f"/api/people/{person.public_id}/erase"
    assert admin.post(url, {"name": "nino"}, format="json").status_code == 422
    assert admin.post(url, {"name": "nina"}, format="json").status_code == 204
    person.refresh_from_db()
    assert person.erased_at is not None


def test_extraction_options_are_checked_before_anything_is_queued():
    admin = bearer(UserFactory(role=Role.ADMIN))
    for wrong in (
        {"model": "../etc"},
        {"model": "gpt2", "kinds": ["random"], "per_layer": "all"},
        {"model": "gpt2", "value_tensor": "x"},
        {"model": "gpt2", "corpus": "../secret.txt"},
        {"model": "gpt2", "device": "tpu"},
    ):
        assert code(admin.post("/api/extractions", wrong, format="json")) == (422, "invalid")
    for malformed in ({"model": "gpt2", "per_layer": "some"}, {"model": "gpt2", "top_k": 1001}):
        refused = admin.post("/api/extractions", malformed, format="json")
        assert code(refused) == (400, "invalid_request")
    assert admin.get("/api/extractions").json()["count"] == 0
    queued = admin.post(
        "/api/extractions", {"model": "gpt2", "per_layer": "all", "seed": 7}, format="json"
    )
    assert queued.status_code == 201
    assert queued.json()["parameters"]["per_layer"] == "all"
    assert queued.json()["state"] == "queued"


def test_rules_change_by_name_until_answers_are_in():
    researcher = UserFactory(role=Role.RESEARCHER)
    study = make_study(researcher=researcher)
    client = bearer(researcher)
    url = f"/api/studies/{study.slug}"
    changed = client.patch(url, {"min_tokens": 3}, format="json").json()
    assert (changed["min_tokens"], changed["title"]) == (3, "A study")
    submit(assignment_of(study), answer())
    assert code(client.patch(url, {"min_tokens": 5}, format="json")) == (422, "invalid")
    assert client.get(url).json()["frozen"] is True


def test_a_person_added_by_the_api_can_be_taken_out_again():
    researcher, newcomer = UserFactory(role=Role.RESEARCHER), UserFactory()
    study = make_study(researcher=researcher)
    client = bearer(researcher)
    url = f"/api/studies/{study.slug}/people"
    added = client.post(url, {"person": str(newcomer.public_id)}, format="json")
    assert (added.status_code, added.json()["name"]) == (201, newcomer.username)
    assert client.delete(f"{url}/{newcomer.public_id}").status_code == 200
    row = Membership.objects.get(user=newcomer)
    assert row.removed_at is not None
