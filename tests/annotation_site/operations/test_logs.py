"""Every line belongs to a request, and holds nothing personal."""

import io
import json
import logging
import logging.config
import uuid

import pytest
from celery.signals import before_task_publish, task_prerun
from django.db import IntegrityError, OperationalError
from django.test import Client

from annotation_site.accounts.models import Role
from annotation_site.logs import exception_text, logging_settings, request_id
from annotation_site.results.tasks import snapshot_draw
from tests.annotation_site.factories import (
    UserFactory,
    client_of,
    make_invitation,
    newcomer,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def written(monkeypatch):
    """What would be written to the console, as text or as JSON."""
    stream = io.StringIO()
    handlers = logging.getLogger().handlers[:]

    def configure(*, as_json):
        logging.config.dictConfig(logging_settings(as_json=as_json, level="INFO"))
        (console,) = set(logging.getLogger().handlers) - set(handlers)
        console.setStream(stream)
        return stream

    yield configure
    logging.config.dictConfig(logging_settings(as_json=False, level="INFO"))
    logging.getLogger().handlers[:] = handlers


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_request_is_a_line_of_json_with_its_id_which_the_answer_carries(written, settings):
    settings.BEHIND_PROXY = True
    stream = written(as_json=True)
    answer = Client().get("/login/", headers={"x-request-id": "from-the-proxy.1"})
    assert answer["X-Request-ID"] == "from-the-proxy.1"
    (line,) = lines(stream)
    assert line.pop("time").endswith("+00:00")
    assert isinstance(line.pop("milliseconds"), int)
    assert line == {
        "level": "INFO",
        "logger": "annotation_site.requests",
        "request_id": "from-the-proxy.1",
        "message": "GET login 200",
    }


@pytest.mark.parametrize("sent", ["", "short", "x" * 65, "a b c d e f g", "<script>alert", "ä" * 9])
def test_an_id_that_is_not_well_formed_is_replaced(sent, settings):
    settings.BEHIND_PROXY = True
    answer = Client().get("/healthz", headers={"x-request-id": sent})
    assert uuid.UUID(answer["X-Request-ID"]).hex == answer["X-Request-ID"]


def test_without_a_proxy_nobody_chooses_the_id_of_a_request(settings):
    assert settings.BEHIND_PROXY is False
    answer = Client().get("/healthz", headers={"x-request-id": "of-somebody-else"})
    assert uuid.UUID(answer["X-Request-ID"]).hex == answer["X-Request-ID"]


def test_by_default_lines_are_readable_and_only_what_is_wrong_is_one(written, settings):
    settings.BEHIND_PROXY = True
    stream = written(as_json=False)
    Client().get("/login/")
    Client().get("/no/such/page/", headers={"x-request-id": "abcdefgh"})
    (line,) = stream.getvalue().splitlines()
    assert line.endswith("WARNING django.request abcdefgh: Not Found: an address that is not known")


@pytest.mark.parametrize("as_json", [True, False])
def test_no_token_of_an_address_and_nothing_typed_is_logged(written, as_json):
    stream = written(as_json=as_json)
    _, link = make_invitation()
    UserFactory(username="taken")
    refused = Client().post(link, newcomer("taken"))
    assert refused.status_code == 422  # the link works still
    Client().post("/login/", {"login": "ada.lovelace", "password": "a secret word"})
    Client(enforce_csrf_checks=True).post(link, newcomer("nina"))
    admin = client_of(UserFactory(role=Role.ADMIN))
    admin.get("/people/?name=ada.lovelace")
    admin.get(link.replace("/join/", "/joins/"))
    logged = stream.getvalue()
    token = link.split("/")[2]
    for secret in (token, "ada.lovelace", "a secret word", "taken", "nina"):
        assert secret not in logged
    assert "/join/<str:token>/" in logged


@pytest.mark.parametrize("as_json", [True, False])
def test_of_an_exception_its_class_and_place_are_logged_and_not_its_text(written, as_json):
    stream = written(as_json=as_json)
    try:
        try:
            raise IntegrityError('Key (username)=(zoe.q) exists. DETAIL: Failing row: "an answer"')
        except IntegrityError as error:
            raise ValueError("invalid literal: 'an answer'") from error
    except ValueError:
        logging.getLogger("annotation_site").exception("Something failed")
    logged = stream.getvalue()
    assert "zoe.q" not in logged  # not a word that the id of a request could hold
    assert "an answer" not in logged
    for said in ("Something failed", "builtins.ValueError", "IntegrityError", "test_logs.py"):
        assert said in logged


def test_of_a_task_that_fails_the_text_is_not_logged_either(written, monkeypatch):
    def fail(**_):
        raise IntegrityError("DETAIL: Failing row contains (ada, an answer)")

    stream = written(as_json=True)
    monkeypatch.setattr("annotation_site.results.snapshots.services.figures_draw", fail)
    snapshot_draw.apply(args=[1, True])
    (line,) = [line for line in lines(stream) if line["level"] == "ERROR"]
    assert line["message"].endswith("raised unexpected: django.db.utils.IntegrityError")
    assert "an answer" not in stream.getvalue()


def test_exceptions_that_come_from_each_other_are_logged_once():
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert exception_text(first) == "builtins.ValueError\nafter\nbuiltins.KeyError"


def test_what_a_machine_says_is_logged(written):
    stream = written(as_json=True)
    for error in (OperationalError("connection refused\nmore"), OSError(28, "No space left")):
        logging.getLogger("x").error("failed", exc_info=error)
    assert [line["exception"] for line in lines(stream)] == [
        "OperationalError: connection refused",
        "OSError: No space left",
    ]


def test_a_task_carries_the_id_of_the_request_that_started_it(written):
    stream = written(as_json=True)
    headers = {}
    token = request_id.set("abcdefgh")
    before_task_publish.send("a.task", headers=headers)
    request_id.reset(token)
    snapshot_draw.push_request(headers=None, **headers)
    task_prerun.send(snapshot_draw, task=snapshot_draw)
    snapshot_draw.pop_request()
    logging.getLogger("x").info("in the task")
    said = [(line["message"], line["request_id"]) for line in lines(stream)]
    assert said == [
        ("begins annotation_site.results.tasks.snapshot_draw", "abcdefgh"),
        ("in the task", "abcdefgh"),
    ]
