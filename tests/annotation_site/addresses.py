"""Every address of the site, with what it answers to whom."""

from django.test import Client
from django.urls import URLPattern, URLResolver, reverse

from annotation_site.accounts.models import Role
from annotation_site.annotation.lists.script_words import script_words
from annotation_site.annotation.models import Assignment, Membership, Study
from annotation_site.public.files import about_write, page_folder
from annotation_site.results.files.jobs import export_request, export_run
from annotation_site.results.snapshots import services
from tests.annotation_site.annotation.crowd.people import make_link
from tests.annotation_site.api import addresses
from tests.annotation_site.factories import (
    UserFactory,
    assignment_of,
    client_of,
    make_machine_run,
    make_measurement,
    make_proxy_run,
    make_study,
    make_trace,
    make_vector_set,
    researcher_of,
)

PUBLISHED = "a-published-study"
World = tuple[Study, Assignment, tuple[Client, ...]]
# Statuses of GET for: stranger, annotator of another study, the list's own annotator,
# another study's researcher, the study's researcher, admin. 302 sends a stranger to the login.
GET = {
    "home": (200, 200, 200, 200, 200, 200),
    "healthz": (200, 200, 200, 200, 200, 200),  # says "ok" and nothing else
    "readyz": (200, 200, 200, 200, 200, 200),
    "site": (302, 403, 403, 403, 403, 200),
    "notices:listed": (302, 403, 403, 200, 200, 200),
    "notices:all_read": (302, 403, 403, 405, 405, 405),
    "notices:kinds": (302, 403, 403, 405, 405, 405),
    "notices:opened": (302, 403, 403, 405, 405, 405),
    "metrics": (404, 404, 404, 404, 404, 404),  # METRICS_TOKEN is not set
    "login": (200, 302, 302, 302, 302, 302),
    "logout": (405, 405, 405, 405, 405, 405),
    "account_login": (200, 302, 302, 302, 302, 302),
    "account_logout": (405, 405, 405, 405, 405, 405),
    "account_signup": (200, 200, 200, 200, 200, 200),
    "account_inactive": (200, 200, 200, 200, 200, 200),
    "account_reauthenticate": (302, 200, 200, 200, 200, 200),
    "account_reset_password": (200, 200, 200, 200, 200, 200),
    "account_reset_password_done": (200, 200, 200, 200, 200, 200),
    "account_reset_password_from_key": (200, 200, 200, 200, 200, 200),  # says: no such link
    "account_reset_password_from_key_done": (200, 200, 200, 200, 200, 200),
    "account_change_password": (302, 200, 200, 200, 200, 200),
    "usersessions_list": (302, 200, 200, 200, 200, 200),
    # 302 of somebody who is logged in: no login is half-way, the password is asked for again, or
    # there is no second factor that could confirm.
    "mfa_authenticate": (302, 302, 302, 302, 302, 302),
    "mfa_reauthenticate": (302, 302, 302, 302, 302, 302),
    "mfa_index": (302, 200, 200, 200, 200, 200),
    "mfa_activate_totp": (302, 302, 302, 302, 302, 302),
    "mfa_deactivate_totp": (302, 404, 404, 404, 404, 404),
    "mfa_view_recovery_codes": (302, 404, 404, 404, 404, 404),
    "mfa_generate_recovery_codes": (302, 302, 302, 302, 302, 302),
    "mfa_download_recovery_codes": (302, 404, 404, 404, 404, 404),
    "socialaccount_connections": (302, 200, 200, 200, 200, 200),
    "socialaccount_login_cancelled": (200, 200, 200, 200, 200, 200),
    "socialaccount_login_error": (401, 401, 401, 401, 401, 401),
    "socialaccount_signup": (200, 200, 200, 200, 200, 200),
    "openid_connect_login": (404, 404, 404, 404, 404, 404),  # no issuer is set
    "openid_connect_callback": (404, 404, 404, 404, 404, 404),
    "accounts:own": (302, 200, 200, 200, 200, 200),
    "accounts:language": (302, 405, 405, 405, 405, 405),
    "accounts:tokens": (302, 200, 200, 200, 200, 200),
    "accounts:token_new": (302, 302, 302, 302, 302, 302),  # the password is asked for again
    "accounts:token_revoke": (302, 405, 405, 405, 405, 405),
    "accounts:join": (404, 404, 404, 404, 404, 404),  # a link that nobody made
    "accounts:enter": (404, 404, 404, 404, 404, 404),  # the demo alone has it
    "accounts:invitations": (302, 403, 403, 200, 200, 200),
    "accounts:invite": (302, 403, 403, 200, 200, 200),
    "accounts:invite_many": (302, 403, 403, 200, 200, 200),
    "accounts:invite_many_file": (302, 403, 403, 405, 405, 405),
    "accounts:revoke": (302, 403, 403, 405, 405, 405),
    "accounts:people": (302, 403, 403, 403, 403, 200),
    "accounts:person": (302, 403, 403, 403, 403, 200),
    "accounts:role": (302, 403, 403, 403, 403, 405),
    "accounts:access": (302, 403, 403, 403, 403, 405),
    "accounts:reset_link": (302, 403, 403, 403, 403, 405),
    "accounts:second_factor": (302, 403, 403, 403, 403, 405),
    "accounts:erase": (302, 403, 403, 403, 403, 200),
    "accounts:log": (302, 403, 403, 403, 403, 200),
    "corpus:models": (302, 403, 403, 403, 403, 200),
    "corpus:enqueue": (302, 403, 403, 403, 403, 200),
    "corpus:import": (302, 403, 403, 403, 403, 200),
    "corpus:corpora": (302, 403, 403, 200, 200, 200),
    "corpus:corpus_delete": (302, 403, 403, 405, 405, 405),
    "corpus:log": (302, 403, 403, 403, 403, 200),
    "corpus:manifest": (302, 403, 403, 403, 403, 404),  # the world's was never written
    "corpus:extraction": (302, 403, 403, 403, 403, 200),
    "corpus:progress": (302, 403, 403, 403, 403, 200),
    "corpus:cancel": (302, 403, 403, 403, 403, 405),
    **dict.fromkeys(
        (
            "explorer:explore",
            "explorer:vectors",
            "explorer:neuron",
            "explorer:token",
            "explorer:picture",
        ),
        (302, 403, 403, 200, 200, 200),
    ),
    "explorer:search": (302, 403, 403, 200, 200, 200),
    "explorer:search_file": (302, 403, 403, 200, 200, 200),
    "explorer:sets": (302, 403, 403, 200, 200, 200),
    "explorer:set_new": (302, 403, 403, 200, 200, 200),
    "explorer:set_add": (302, 403, 403, 405, 405, 405),
    "explorer:set": (302, 403, 403, 200, 200, 200),
    "explorer:set_change": (302, 403, 403, 405, 405, 405),
    "explorer:set_delete": (302, 403, 403, 405, 405, 405),
    "explorer:set_file": (302, 403, 403, 200, 200, 200),
    "corpus:retry": (302, 403, 403, 403, 403, 405),
    "corpus:rename": (302, 403, 403, 403, 403, 405),
    "corpus:delete": (302, 403, 403, 403, 403, 405),
    **dict.fromkeys(
        (
            "measurements:model",
            "measurements:listed",
            "measurements:new",
            "measurements:compare",
            "measurements:measurement",
            "measurements:progress",
            "measurements:log",
            "measurements:table",
            "measurements:file",
            "measurements:archive",
        ),
        (302, 403, 403, 200, 200, 200),
    ),
    **dict.fromkeys(
        (
            "measurements:cancel",
            "measurements:retry",
            "measurements:rename",
            "measurements:delete",
        ),
        (302, 403, 403, 405, 405, 405),
    ),
    "traces:listed": (302, 403, 403, 200, 200, 200),
    # The study's researcher requested the world's trace, and shares it with nobody.
    **dict.fromkeys(("traces:trace", "traces:json"), (302, 403, 403, 404, 200, 200)),
    "traces:progress": (302, 403, 403, 404, 204, 204),  # it is there: the page renews itself
    **dict.fromkeys(("traces:share", "traces:delete"), (302, 403, 403, 405, 405, 405)),
    "annotation:new": (302, 403, 403, 200, 200, 200),
    "annotation:study": (302, 404, 200, 404, 404, 404),
    "annotation:next": (302, 404, 302, 404, 404, 404),
    "annotation:state": (302, 403, 403, 405, 405, 405),
    "annotation:rules": (302, 403, 403, 404, 200, 200),
    "annotation:extend": (302, 403, 403, 405, 405, 405),
    "annotation:duplicate": (302, 403, 403, 405, 405, 405),
    "annotation:people": (302, 403, 403, 404, 200, 200),
    "annotation:person": (302, 403, 403, 405, 405, 405),
    "annotation:texts": (302, 403, 403, 404, 200, 200),
    "annotation:run": (302, 403, 403, 404, 200, 200),
    "annotation:progress": (302, 403, 403, 404, 200, 200),
    "annotation:flags": (302, 403, 403, 404, 200, 200),
    "annotation:release": (302, 403, 403, 405, 405, 405),
    "annotation:let_in": (302, 403, 403, 405, 405, 405),
    "annotation:adjudicate": (302, 403, 403, 405, 405, 405),
    "annotation:adjudication": (302, 403, 403, 404, 404, 404),  # nobody has begun this answer
    "results:home": (302, 403, 403, 404, 200, 200),
    "results:summary": (302, 403, 403, 404, 200, 200),
    "results:lists": (302, 403, 403, 404, 200, 200),
    "results:list": (302, 403, 403, 404, 200, 200),  # the researcher is asked first
    "results:adjudication": (302, 403, 403, 404, 200, 200),
    "results:adjudicated": (302, 403, 403, 404, 200, 200),
    "annotation:references": (302, 403, 403, 404, 200, 200),
    "annotation:consent": (302, 404, 200, 404, 404, 404),
    "annotation:withdraw": (302, 404, 200, 404, 404, 404),
    "annotation:open_links": (302, 403, 403, 404, 200, 200),
    "annotation:open_link_new": (302, 403, 403, 404, 200, 200),
    "annotation:open_link_settings": (302, 403, 403, 404, 200, 200),
    "annotation:open_link_state": (302, 403, 403, 405, 405, 405),
    "annotation:open_link_delete": (302, 403, 403, 404, 200, 200),
    "annotation:payment": (302, 403, 403, 404, 200, 200),
    "annotation:payment_file": (302, 403, 403, 404, 200, 200),
    "annotation:open_link": (
        200,
        200,
        200,
        200,
        200,
        200,
    ),  # asks people with an account to log out
    "annotation:check": (302, 404, 404, 404, 404, 404),  # for people of open links alone
    "annotation:done": (302, 404, 404, 404, 404, 404),
    "annotation:ended": (302, 404, 404, 404, 404, 404),
    "annotation:leave": (302, 404, 404, 404, 404, 404),
    "annotation:hours": (302, 200, 200, 200, 200, 200),
    "annotation:hours_file": (302, 200, 200, 200, 200, 200),
    "annotation:list": (302, 404, 200, 404, 404, 404),
    "annotation:feedback": (302, 404, 404, 404, 404, 404),  # this list is no training
    "annotation:dialogs": (302, 200, 200, 200, 200, 200),
    "annotation:script_words": (200, 200, 200, 200, 200, 200),  # as static files
    "annotation:tutorial": (302, 200, 200, 200, 200, 200),
    "annotation:comparison": (302, 200, 200, 200, 200, 200),
    "results:results": (302, 403, 403, 404, 200, 200),
    "results:status": (302, 403, 403, 404, 200, 200),
    "results:sensitivity": (302, 403, 403, 404, 200, 200),
    "results:download": (302, 403, 403, 404, 200, 200),
    "results:retry": (302, 403, 403, 405, 405, 405),
    "results:figure": (302, 403, 403, 404, 200, 200),
    "results:delete": (302, 403, 403, 404, 200, 200),
    "results:estimates": (302, 403, 403, 404, 200, 200),
    "results:estimates_status": (302, 403, 403, 404, 200, 200),
    **dict.fromkeys(
        ("results:estimates_compute", "results:estimates_cancel"), (302, 403, 403, 405, 405, 405)
    ),
    **dict.fromkeys(
        (
            "machine_annotators:listed",
            "machine_annotators:prompt",
            "machine_annotators:new",
            "machine_annotators:status",
            "machine_annotators:continue",
            "machine_annotators:delete",
            "machine_annotators:exchanges",
            "machine_annotators:exchanges_delete",
        ),
        (302, 403, 403, 404, 200, 200),
    ),
    "machine_annotators:cancel": (302, 403, 403, 405, 405, 405),
    "results:exports": (302, 403, 403, 404, 200, 200),
    "results:exports_status": (302, 403, 403, 404, 200, 200),
    "results:export_file": (302, 403, 403, 404, 200, 200),
    # What a researcher switched on, for everybody.
    "public:listed": (200, 200, 200, 200, 200, 200),
    "public:page": (200, 200, 200, 200, 200, 200),
    "public:file": (200, 200, 200, 200, 200, 200),
    "public:publish": (302, 403, 403, 404, 200, 200),
    "public:status": (302, 403, 403, 404, 200, 200),
    "public:off": (302, 403, 403, 405, 405, 405),
    "public:draft": (302, 403, 403, 404, 404, 404),  # nobody has prepared the page
    **addresses.GET,
}


def names(resolver: URLResolver, prefix: str = "") -> list[str]:
    found = []
    for entry in resolver.url_patterns:
        if isinstance(entry, URLPattern):
            found.append(prefix + entry.name)
        else:
            found += names(entry, f"{entry.namespace}:" if entry.namespace else prefix)
    return found


def world_make() -> tuple[int, int]:
    """A study with results and a file, and another one; the keys of the first and of one list."""
    study = make_study()
    services.snapshot_refresh_now(study=study)
    job = export_request(study=study, content="jsonl", with_names=False, by=study.created_by)
    export_run(job_id=job.pk)
    make_link(study)
    make_study()
    make_measurement()
    make_vector_set()
    make_trace(requested_by=researcher_of(study))
    make_proxy_run(study)
    make_machine_run(study)
    return study.pk, assignment_of(study).pk


def world_read(study_pk: int, assignment_pk: int) -> World:
    """The study, a list of it, and a browser of everybody in `GET`; a public page beside them."""
    page_make(PUBLISHED)
    study = Study.objects.get(pk=study_pk)
    assignment = Assignment.objects.get(pk=assignment_pk)
    other = Study.objects.exclude(pk=study_pk).get()
    researchers = [s.memberships.get(role=Membership.Role.RESEARCHER).user for s in (study, other)]
    clients = (
        Client(),
        client_of(assignment_of(other).membership.user),
        client_of(assignment.membership.user),
        client_of(researchers[1]),
        client_of(researchers[0]),
        client_of(UserFactory(role=Role.ADMIN)),
    )
    return study, assignment, clients


def page_make(slug: str) -> None:
    """The folder of a public page: the database has no part in who may read it."""
    folder = page_folder(slug)
    folder.mkdir(parents=True, exist_ok=True)
    about_write(folder, {"title": "Published", "models": [], "lists": 1, "annotators": 1})
    for name in ("index", "lists-1"):
        (folder / f"{name}.html").write_text("<!doctype html><title>Published</title>")


def address(name: str, study, assignment) -> str:
    extraction = assignment.item.vector.extraction
    person = {"public_id": assignment.membership.user.public_id}
    outside = {"provider_id": "oidc"}
    link = study.open_links.first()  # some worlds have none
    link_kwargs = {"slug": study.slug, "public_id": link.public_id if link else person["public_id"]}
    kwargs = {
        "annotation:open_link": {"token": link.token if link else "abc"},
        "annotation:open_link_settings": link_kwargs,
        "annotation:open_link_state": link_kwargs,
        "annotation:open_link_delete": link_kwargs,
        "annotation:payment_file": {"slug": study.slug, "extension": "csv"},
        "account_reset_password_from_key": {"uidb36": "1", "key": "abc-def"},
        "openid_connect_login": outside,
        "openid_connect_callback": outside,
        "accounts:join": {"token": "abc"},
        "accounts:enter": {"token": "abc"},
        "accounts:token_revoke": {"public_id": assignment.public_id},
        "accounts:revoke": {"public_id": assignment.public_id},
        "accounts:person": person,
        "accounts:role": person,
        "accounts:access": person,
        "accounts:reset_link": person,
        "accounts:second_factor": person,
        "accounts:erase": person,
        "corpus:extraction": {"public_id": extraction.public_id},
        "corpus:progress": {"public_id": extraction.public_id},
        "corpus:cancel": {"public_id": extraction.public_id},
        "explorer:vectors": {"public_id": extraction.public_id},
        "explorer:picture": {"public_id": extraction.public_id},
        "explorer:token": {"public_id": extraction.public_id, "token_id": 1},
        "explorer:neuron": {"public_id": extraction.public_id, "layer": 0, "index": 0},
        "explorer:search_file": {"extension": "csv"},
        **{
            f"explorer:{name}": addresses.vector_set(assignment)
            for name in ("set", "set_change", "set_delete")
        },
        "explorer:set_file": {**addresses.vector_set(assignment), "extension": "csv"},
        "corpus:corpus_delete": {"public_id": assignment.public_id},
        "corpus:log": {"public_id": extraction.public_id},
        "corpus:manifest": {"public_id": extraction.public_id},
        "corpus:retry": {"public_id": extraction.public_id},
        "corpus:rename": {"public_id": extraction.public_id},
        "notices:opened": {"public_id": assignment.public_id},
        "corpus:delete": {"public_id": extraction.public_id},
        **{
            f"measurements:{name}": addresses.measurement(assignment)
            for name in (
                "measurement",
                "progress",
                "cancel",
                "retry",
                "rename",
                "delete",
                "log",
                "archive",
            )
        },
        **{
            f"traces:{name}": addresses.trace(assignment)
            for name in ("trace", "progress", "share", "delete", "json")
        },
        "measurements:model": {"number": extraction.model_id},
        "measurements:table": {**addresses.measurement(assignment), "name": "saturation"},
        "measurements:file": {**addresses.measurement(assignment), "name": "saturation.csv"},
        "annotation:study": {"slug": study.slug},
        "annotation:next": {"slug": study.slug},
        "annotation:state": {"slug": study.slug},
        "annotation:rules": {"slug": study.slug},
        "annotation:extend": {"slug": study.slug},
        "annotation:duplicate": {"slug": study.slug},
        "annotation:people": {"slug": study.slug},
        "annotation:person": {
            "slug": study.slug,
            "public_id": assignment.membership.user.public_id,
        },
        "annotation:texts": {"slug": study.slug},
        **{
            name: {"slug": study.slug}
            for name in (
                "annotation:run",
                "annotation:progress",
                "annotation:flags",
                "annotation:open_links",
                "annotation:open_link_new",
                "annotation:payment",
                "annotation:adjudicate",
                "results:home",
                "results:summary",
                "results:lists",
                "results:adjudication",
            )
        },
        "results:list": {"slug": study.slug, "number": assignment.item_id},
        "annotation:release": {"slug": study.slug, "person": person["public_id"]},
        "annotation:let_in": {"slug": study.slug, "person": person["public_id"]},
        "annotation:adjudication": {"public_id": assignment.public_id},
        "results:adjudicated": {"slug": study.slug, "extension": "csv"},
        "annotation:references": {"slug": study.slug},
        "annotation:consent": {"slug": study.slug},
        "annotation:withdraw": {"slug": study.slug},
        "annotation:hours_file": {"extension": "csv"},
        "annotation:script_words": {
            "language": "de",
            "version": script_words("de").version,
        },
        "annotation:list": {"public_id": assignment.public_id},
        "annotation:feedback": {"public_id": assignment.public_id},
        "public:page": {"published": PUBLISHED},
        "public:file": {"published": PUBLISHED, "name": "lists-1.html"},
        "public:publish": {"slug": study.slug},
        "public:status": {"slug": study.slug},
        "public:off": {"slug": study.slug},
        "public:draft": {"slug": study.slug, "name": "index.html"},
        "results:results": {"slug": study.slug},
        "results:status": {"slug": study.slug},
        "results:sensitivity": {"slug": study.slug},
        "results:download": {"slug": study.slug, "table": "coverage", "extension": "csv"},
        "results:retry": {"slug": study.slug},
        "results:figure": {
            "slug": study.slug,
            "name": "coverage-across-layers-0",
            "extension": "svg",
        },
        "results:delete": {"slug": study.slug},
        "results:estimates": {"slug": study.slug},
        "results:estimates_status": {"slug": study.slug},
        "results:estimates_compute": {"slug": study.slug},
        "results:estimates_cancel": addresses.proxy(study, assignment),
        **{
            f"machine_annotators:{name}": {"slug": study.slug}
            for name in ("listed", "status", "prompt", "new")
        },
        **{
            f"machine_annotators:{name}": addresses.machine_run(study, assignment)
            for name in ("cancel", "continue", "delete", "exchanges", "exchanges_delete")
        },
        "results:exports": {"slug": study.slug},
        "results:exports_status": {"slug": study.slug},
        "results:export_file": {
            "slug": study.slug,
            "public_id": study.exports.order_by("pk")[0].public_id,
        },
    }
    if name.startswith("api:"):
        return reverse(name, kwargs=addresses.kwargs(name, study, assignment))
    found = reverse(name, kwargs=kwargs.get(name, {}))
    if name == "measurements:compare":
        public_id = addresses.measurement(assignment)["public_id"]
        return f"{found}?one={public_id}&other={public_id}"
    return found


def status(client: Client, url: str) -> int:
    """Of a page or a file; a file is read to its end, which closes it."""
    response = client.get(url)
    if response.streaming:
        list(response.streaming_content)
    return response.status_code
