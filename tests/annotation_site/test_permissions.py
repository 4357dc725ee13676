"""Every address, for every role and a stranger: who may see what."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, reverse

from annotation_site.accounts.models import Role
from annotation_site.annotation.models import Assignment, Membership, Study
from tests.annotation_site.addresses import GET, address, names, status
from tests.annotation_site.factories import (
    UserFactory,
    assignment_of,
    client_of,
    make_extraction,
    make_study,
    submit,
)

pytestmark = pytest.mark.django_db

POST_STATE = (302, 403, 403, 404, 302, 302)
# The world's extraction is ready, and a study uses it.
POST_EXTRACTION = (302, 403, 403, 403, 403, 422)
# An admin reads, and a researcher of the study gives its final answers.
POST_REFERENCES = (302, 403, 403, 404, 302, 403)
# Feedback after training and final answers: as in GET.
FEEDBACK = (302, 404, 200, 404, 404, 404)
FINAL_ANSWER = (302, 404, 404, 404, 200, 404)
POST_RUN = (302, 403, 403, 404, 302, 302)
POST_TEXTS = (302, 403, 403, 404, 302, 302)
POST_FORM = (302, 403, 403, 404, 422, 422)
POST_ADD = (302, 403, 403, 404, 302, 422)  # once in, a person cannot be added again
POST_EXPORTS = (302, 403, 403, 404, 302, 302)
TEXTS = {"guidelines": "g", "guidelines_base": "1", "consent": "", "consent_base": "0"}
POST_OWN = (302, 404, 302, 404, 404, 404)  # consent, then withdrawing


def test_every_address_is_in_the_table():
    assert sorted(names(get_resolver())) == sorted(GET)


def test_who_may_open_what(world):
    study, assignment, clients = world
    for name, expected in GET.items():
        url = address(name, study, assignment)
        assert tuple(status(c, url) for c in clients) == expected, name


def test_who_may_change_a_study_or_an_extraction(world):
    study, assignment, clients = world
    url = address("annotation:state", study, assignment)
    states = ("paused", "paused", "paused", "paused", "paused", "open")
    statuses = tuple(
        client.post(url, {"state": state}).status_code
        for client, state in zip(clients, states, strict=True)
    )
    assert statuses == POST_STATE
    for name in ("corpus:cancel", "corpus:retry", "corpus:delete"):
        url = address(name, study, assignment)
        assert tuple(client.post(url).status_code for client in clients) == POST_EXTRACTION, name


def test_who_may_change_a_measurement(world):
    study, assignment, clients = world
    # Nobody asked for the world's measurement: admins alone change it. It is ready.
    body = {"title": "x"}
    for name, of_an_admin in (("cancel", 422), ("retry", 422), ("rename", 302), ("delete", 302)):
        url = address(f"measurements:{name}", study, assignment)
        found = tuple(client.post(url, body).status_code for client in clients)
        assert found == (302, 403, 403, 403, 403, of_an_admin), name
    url = address("measurements:new", study, assignment)
    empty = tuple(client.post(url, {"action": "enqueue"}).status_code for client in clients)
    assert empty == (302, 403, 403, 422, 422, 422)


def test_who_may_enqueue_and_import_a_model(world):
    study, assignment, clients = world
    for name in ("corpus:enqueue", "corpus:import"):  # an admin's empty form is only refused
        url = address(name, study, assignment)
        statuses = tuple(client.post(url, {"x": "y"}).status_code for client in clients)
        assert statuses == POST_EXTRACTION, name


def test_who_may_change_texts_agree_and_withdraw(world):
    study, assignment, clients = world
    for name, body, expected in (
        ("annotation:texts", TEXTS, POST_TEXTS),
        ("results:exports", {"content": "jsonl"}, POST_EXPORTS),
        ("annotation:consent", {"version": "0"}, POST_OWN),
        ("annotation:withdraw", {}, POST_OWN),
    ):
        url = address(name, study, assignment)
        assert tuple(c.post(url, body).status_code for c in clients) == expected, name
    left = study.memberships.filter(withdrawn_at__isnull=False)
    assert [m.pk for m in left] == [assignment.membership_id]


def test_who_may_run_a_study(world):
    study, assignment, clients = world
    joins = UserFactory().public_id
    for name, body, expected in (
        ("annotation:rules", {"action": "save"}, POST_FORM),  # an empty form is refused
        ("annotation:people", {"person": joins}, POST_ADD),
        ("annotation:person", {"action": "release"}, POST_TEXTS),
        ("annotation:extend", {"lists_per_layer": "1"}, POST_FORM),  # it has more already
        ("results:delete", {"title": study.title}, POST_FORM),  # people work at it
        ("annotation:duplicate", {"title": "A copy"}, POST_TEXTS),
    ):
        url = address(name, study, assignment)
        assert tuple(c.post(url, body).status_code for c in clients) == expected, name


def test_another_study_s_annotator_is_nobody_here(world):
    study, _, clients = world
    stranger = UserFactory()
    make_study(people=[stranger])
    url = reverse("annotation:person", args=[study.slug, stranger.public_id])
    assert clients[4].post(url, {"action": "remove"}).status_code == 404


def test_who_may_give_reference_answers_and_read_feedback(world):
    _, _, clients = world
    study = make_study(
        training_lists=1,
        researcher=Membership.objects.get(role="researcher", study=world[0]).user,
        people=[m.user for m in world[0].memberships.filter(role="annotator")],
        extraction=make_extraction(per_layer=3),
    )
    trained = submit(assignment_of(study))
    url = reverse("annotation:references", args=[study.slug])
    body = {"list": trained.item_id}
    assert tuple(c.post(url, body).status_code for c in clients) == POST_REFERENCES
    url = reverse("annotation:feedback", args=[trained.public_id])
    assert tuple(c.get(url).status_code for c in clients) == FEEDBACK
    final = trained.item.assignments.get(purpose="adjudication")
    url = reverse("annotation:list", args=[final.public_id])
    assert tuple(c.get(url).status_code for c in clients) == FINAL_ANSWER


def test_who_may_release_lists_let_people_in_and_adjudicate(world):
    study, assignment, clients = world
    for name, body, expected in (
        ("annotation:release", {}, POST_RUN),
        ("annotation:let_in", {}, POST_RUN),
        ("annotation:adjudicate", {"list": assignment.item_id}, POST_REFERENCES),
        ("results:list", {"all": "on"}, POST_RUN),
    ):
        url = address(name, study, assignment)
        assert tuple(c.post(url, body).status_code for c in clients) == expected, name
    final = Assignment.objects.get(purpose="adjudication")
    url = reverse("annotation:adjudication", args=[final.public_id])
    assert tuple(c.get(url).status_code for c in clients) == (302, 403, 403, 404, 200, 404)


def test_nobody_is_released_through_another_study_and_no_list_opened_through_it(world):
    study, _, clients = world
    other = Study.objects.exclude(pk=study.pk).get()
    stranger = assignment_of(other)
    researcher = clients[4]
    for name in ("release", "let_in"):
        url = reverse(f"annotation:{name}", args=[study.slug, stranger.membership.user.public_id])
        assert researcher.post(url).status_code == 404
    url = reverse("annotation:adjudicate", args=[study.slug])
    for foreign in (stranger.item_id, "", "x", "9" * 30):
        assert researcher.post(url, {"list": foreign}).status_code == 404
    for foreign in (stranger.item_id, 0, "9" * 30):
        url = f"/studies/{study.slug}/lists/{foreign}/"
        assert (researcher.get(url).status_code, researcher.post(url).status_code) == (404, 404)
    assert not Assignment.objects.filter(purpose="adjudication").exists()


def test_who_may_compute_results_again(world):
    study, assignment, clients = world
    url = address("results:retry", study, assignment)
    # What has not failed cannot be tried again, by anybody.
    assert tuple(c.post(url).status_code for c in clients) == (302, 403, 403, 404, 422, 422)


def test_who_may_compute_and_cancel_proxies(world):
    study, assignment, clients = world
    url = address("results:estimates_compute", study, assignment)
    # The world's model is not here with every value vector.
    found = tuple(c.post(url, {"proxy": "machine-affixes"}).status_code for c in clients)
    assert found == (302, 403, 403, 404, 422, 422)
    url = address("results:estimates_cancel", study, assignment)
    assert tuple(c.post(url).status_code for c in clients) == (302, 403, 403, 404, 302, 302)


def test_who_may_ask_for_a_data_set_and_cancel_one(world):
    study, assignment, clients = world
    url = address("data_sets:data_set", study, assignment)
    # The study is open.
    found = tuple(c.post(url, {"licence": "mit"}).status_code for c in clients)
    assert found == (302, 403, 403, 404, 422, 422)
    url = address("data_sets:cancel", study, assignment)
    assert tuple(c.post(url).status_code for c in clients) == (302, 403, 403, 404, 302, 302)


def test_pages_send_a_strict_policy_and_load_nothing_from_elsewhere(world):
    study, assignment, clients = world
    for name in (
        "home", "annotation:tutorial", "annotation:comparison", "annotation:list",
        "results:home", "results:results", "corpus:models", "annotation:new", "annotation:rules",
        "annotation:people", "annotation:run", "results:lists", "results:adjudication",
        "results:list",
        "results:exports", "results:estimates", "data_sets:data_set",
    ):  # fmt: skip
        client = clients[2] if name == "annotation:list" else clients[5]
        response = client.get(address(name, study, assignment))
        policy = response["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        page = response.content.decode()
        assert 'src="http' not in page
        assert "<style" not in page
        assert " style=" not in page
        assert " onclick=" not in page


def test_a_home_without_studies_says_what_comes_next():
    assert "No study to work on" in client_of(UserFactory()).get("/").content.decode()
    page = client_of(UserFactory(role=Role.RESEARCHER)).get("/").content.decode()
    assert "Create the first study" in page


def test_an_error_page_shows_its_sentence_and_status():
    response = client_of(UserFactory()).get("/models/")
    assert response.status_code == 403
    assert "This page is for admins" in response.content.decode()


def test_home_takes_few_queries(world, django_assert_max_num_queries):
    # session, person, studies to annotate with counts, seconds of submitted lists, leases,
    # training, unread notices
    with django_assert_max_num_queries(7):
        world[2][2].get("/")
    # session, person, studies to annotate, studies to run, failed extractions; of all studies
    # together lists, people, slots, opened lists, last annotations, times, adjudicated
    # annotations, lists to adjudicate, failed results; seconds and leases of one's own; unread
    # notices
    with django_assert_max_num_queries(17):
        world[2][5].get("/")


def test_a_page_about_one_study_finds_it_without_counting_answers(world):
    study, assignment, clients = world
    counted = {}
    for name, expected in GET.items():
        url = address(name, study, assignment)
        if study.slug not in url or expected[4] != 200:
            continue
        with CaptureQueriesContext(connection) as queries:
            status(clients[4], url)
        finds = [q["sql"] for q in queries if '"annotation_study"."slug"' in q["sql"]]
        assert finds, name
        counted[name] = any("COUNT(" in sql and "annotation_assignment" in sql for sql in finds)
    # The API shows the two counts with a study.
    assert [name for name, is_counted in counted.items() if is_counted] == ["api:study"]


def test_the_annotation_page_takes_at_most_eight_queries(world, django_assert_max_num_queries):
    study, assignment, clients = world
    url = address("annotation:list", study, assignment)
    # session, person, assignment with study, list, membership and consent asked; its opening (the
    # first time only), guidelines, place in the order, tokens, the list before, and whether it is
    # made up
    with django_assert_max_num_queries(9):
        clients[2].get(url)
    with django_assert_max_num_queries(8):
        clients[2].get(url)


def test_a_deactivated_person_is_logged_out():
    user = UserFactory()
    client = client_of(user)
    user.is_active = False
    user.save()
    assert client.get("/account/").status_code == 302


def test_who_may_share_and_delete_a_trace(world):
    study, assignment, clients = world
    # The study's researcher requested the world's trace; the team sees it once it is shared.
    url = address("traces:share", study, assignment)
    found = tuple(client.post(url, {"is_shared": "1"}).status_code for client in clients)
    assert found == (302, 403, 403, 404, 302, 302)
    url = address("traces:delete", study, assignment)
    found = tuple(client.post(url).status_code for client in clients)
    assert found == (302, 403, 403, 403, 302, 404)  # gone by then
    url = address("traces:listed", study, assignment)
    found = tuple(client.post(url, {"prompt": ""}).status_code for client in clients)
    assert found == (302, 403, 403, 422, 422, 422)
