"""What a page does a script can do: each page has its addresses of the API, or a reason."""

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver

from tests.annotation_site.addresses import address, names
from tests.annotation_site.api.writes import methods

pytestmark = pytest.mark.django_db

SECRETS = "the way in, and one's own secrets: a token must not be able to take an account over"
BROWSER = "a lesson, a part of a page, or the language of one browser; it stores nothing"
TOLD = "told to a person on pages; each notice leads to a thing that has addresses of its own"
CROWD = "people who join by an open link work in a browser: their accounts have no token"
PUBLIC = "files for everybody: programs read them there, without a token"
PROBE = "for what watches the server"
NOT_BY_SCRIPT = {
    SECRETS: {
        "login", "logout", "accounts:join", "accounts:token_new", "accounts:reset_link",
        "accounts:enter", "accounts:second_factor", "openid_connect_login",
        "openid_connect_callback",
        "usersessions_list",
        *(name for name in names(get_resolver())
          if name.startswith(("account_", "mfa_", "socialaccount_"))),
    },
    BROWSER: {
        "accounts:language", "annotation:comparison", "annotation:dialogs",
        "annotation:script_words", "annotation:tutorial",
    },
    TOLD: {"notices:listed", "notices:opened", "notices:all_read", "notices:kinds"},
    CROWD: {
        "annotation:open_link", "annotation:check", "annotation:done", "annotation:ended",
        "annotation:leave",
    },
    PUBLIC: {"public:listed", "public:page", "public:file"},
    PROBE: {"healthz", "readyz", "metrics"},
}  # fmt: skip
# Read by script, and changed on the page alone: name and address are what one logs in with, and
# where a link for a new password goes.
CHANGED_ON_THE_PAGE = ["accounts:own"]
# By page, the methods of the API that do the same, "GET" where none is named.
BY_SCRIPT = {
    "home": "work, studies",
    "site": "workers, extractions",
    "accounts:own": "me",
    "accounts:tokens": "tokens",
    "accounts:token_revoke": "token DELETE",
    "accounts:invitations": "invitations",
    "accounts:invite": "invitations POST",
    "accounts:invite_many": "invitations POST",
    "accounts:invite_many_file": "invitations POST",
    "accounts:revoke": "invitation DELETE",
    "accounts:people": "people",
    "accounts:person": "person",
    "accounts:role": "role POST",
    "accounts:access": "access POST",
    "accounts:erase": "erase POST",
    "accounts:log": "log",
    "corpus:models": "extractions, workers",
    "corpus:enqueue": "extractions POST, estimates POST",
    "corpus:import": "upload POST",
    "corpus:extraction": "extraction, extraction_log",
    "corpus:progress": "extraction",
    "corpus:cancel": "cancel POST",
    "explorer:explore": "extractions",
    "explorer:vectors": "vectors",
    "explorer:token": "vocabulary_token",
    "explorer:picture": "picture",
    "explorer:neuron": "neuron, study_list",
    "explorer:search": "all_vectors",
    "explorer:search_file": "all_vectors_file",
    "explorer:sets": "sets",
    "explorer:set_new": "sets POST",
    "explorer:set_add": "set PATCH",
    "explorer:set": "set",
    "explorer:set_change": "set PATCH",
    "explorer:set_delete": "set DELETE",
    "explorer:set_file": "set_file",
    "corpus:log": "extraction_log",
    "corpus:manifest": "manifest",
    "corpus:retry": "retry POST",
    "corpus:delete": "extraction DELETE",
    "corpus:rename": "extraction PATCH",
    "corpus:corpora": "corpora, corpora POST",
    "corpus:corpus_delete": "corpus DELETE",
    "measurements:model": "measurable_models, measurements",
    "measurements:listed": "measurements",
    "measurements:new": "measurements POST, measurement_estimates POST, measurable_models, corpora",
    "measurements:compare": "side_by_side",
    "measurements:measurement": "measurement, measurement_log, measurement_table",
    "measurements:progress": "measurement",
    "measurements:cancel": "measurement_cancel POST",
    "measurements:retry": "measurement_retry POST",
    "measurements:rename": "measurement PATCH",
    "measurements:delete": "measurement DELETE",
    "measurements:log": "measurement_log",
    "measurements:table": "measurement_table",
    "measurements:file": "measurement_file",
    "measurements:archive": "measurement, measurement_file",
    "traces:listed": "traces, traces POST, measurable_models",
    "traces:trace": "trace",
    "traces:progress": "trace",
    "traces:share": "trace PATCH",
    "traces:delete": "trace DELETE",
    "traces:json": "trace",
    "annotation:new": "studies POST, previews POST, annotators",
    "annotation:study": "work_detail, own_lists",
    "annotation:next": "next POST",
    "annotation:state": "state POST",
    "results:home": "study, progress, flags",
    "annotation:run": "progress",
    "annotation:progress": "progress",
    "annotation:flags": "flags",
    "annotation:release": "release POST",
    "annotation:let_in": "let_in POST",
    "annotation:adjudicate": "adjudicate POST",
    "annotation:adjudication": "adjudicate POST, submit POST",
    "annotation:rules": "study, study PATCH, previews POST",
    "annotation:extend": "extend POST",
    "annotation:duplicate": "duplicate POST",
    "annotation:people": "study_people, study_people POST",
    "annotation:person": "study_person DELETE, release POST",
    "annotation:open_links": "open_links",
    "annotation:open_link_new": "open_links POST",
    "annotation:open_link_settings": "open_link, open_link PATCH",
    "annotation:open_link_state": "open_link_state POST",
    "annotation:open_link_delete": "open_link DELETE",
    "annotation:payment": "payments",
    "annotation:payment_file": "payments",
    "annotation:texts": "texts, texts PUT",
    "annotation:references": "references, adjudicate POST",
    "annotation:consent": "work_detail, consent POST",
    "annotation:withdraw": "work_detail, work_detail DELETE",
    "annotation:hours": "hours",
    "annotation:hours_file": "hours_file",
    "annotation:list": "list, draft PUT, submit POST, skip POST",
    "annotation:feedback": "feedback",
    "results:delete": "study DELETE",
    "results:estimates": "proxies, table, figures",
    "results:estimates_status": "proxies, proxy",
    "results:estimates_compute": "proxies POST",
    "results:estimates_cancel": "proxy DELETE",
    "machine_annotators:listed": "machine_runs",
    "machine_annotators:status": "machine_runs, machine_run",
    "machine_annotators:prompt": "machine_prompt, machine_prompt PUT",
    "machine_annotators:new": "machine_forecast, machine_runs POST",
    "machine_annotators:cancel": "machine_run DELETE",
    "machine_annotators:continue": "machine_run_continue POST",
    "machine_annotators:delete": "machine_run_delete POST",
    "machine_annotators:exchanges": "machine_exchanges",
    "machine_annotators:exchanges_delete": "machine_exchanges DELETE",
    "results:exports": "exports, exports POST",
    "results:exports_status": "exports, export_state",
    "results:export_file": "export_file",
    "results:results": "results, results POST, table, figures, snapshots",
    "results:status": "snapshot, results POST",
    "results:summary": "results, table",
    "results:sensitivity": "results, table",
    "results:lists": "study_lists, items",
    "results:list": "study_list, look POST",
    "results:adjudication": "adjudication",
    "results:adjudicated": "adjudicated",
    "results:retry": "retry_results POST",
    "results:download": "export",
    "results:figure": "figure",
    "public:publish": "publication, publication PUT",
    "public:status": "publication",
    "public:off": "publication DELETE",
    "public:draft": "publication PUT",
}


def named(entry: str) -> list[tuple[str, str]]:
    """Address and method of each that an entry of the table names."""
    words = [one.split() for one in entry.split(", ")]
    return [(f"api:{word[0]}", word[1] if len(word) > 1 else "GET") for word in words]


def test_every_page_has_an_address_of_the_api_or_a_reason_why_not():
    pages = {name for name in names(get_resolver()) if not name.startswith("api:")}
    excused = [name for group in NOT_BY_SCRIPT.values() for name in group]
    assert sorted([*BY_SCRIPT, *excused]) == sorted(pages)


def test_what_the_table_names_is_there():
    known = {(name, method) for name, calls in methods().items() for method in calls}
    wanted = {one for entry in BY_SCRIPT.values() for one in named(entry)}
    assert wanted <= known, wanted - known


def test_pages_that_write_have_methods_that_write(world):
    study, assignment, clients = world
    writing = set()
    for name in BY_SCRIPT:
        url = address(name, study, assignment)
        for client in clients[2:]:  # the list's own annotator, two researchers, an admin
            with transaction.atomic():
                status = client.post(url).status_code
                transaction.set_rollback(True)
            if status not in (403, 404, 405):
                writing.add(name)
    assert {"annotation:texts", "corpus:import", "results:exports"} <= writing
    only_read = [n for n in writing if all(method == "GET" for _, method in named(BY_SCRIPT[n]))]
    assert only_read == CHANGED_ON_THE_PAGE


def test_pages_that_are_said_to_store_nothing_store_nothing(world):
    study, assignment, clients = world
    for name in NOT_BY_SCRIPT[BROWSER] | NOT_BY_SCRIPT[PROBE]:
        for method in ("get", "post"):
            with CaptureQueriesContext(connection) as queries:
                getattr(clients[2], method)(address(name, study, assignment))
            # That a person sends something is counted, whatever becomes of it.
            own = [q["sql"] for q in queries if "accounts_requestcount" not in q["sql"]]
            said = {sql.split()[0] for sql in own} - {"SAVEPOINT", "RELEASE"}
            assert said <= {"SELECT"}, (name, method)
