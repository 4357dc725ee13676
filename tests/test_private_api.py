"""What the code uses of libraries beyond their public API, each with the version it was read in.

A failing test here means that a pin has moved or that a library has changed: read what the named
file does with it, then what the library does now, and write the new version here and into the
table of docs/design.md.
"""

import functools
import inspect
import re
import socket
import types
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import (
    AUTHENTICATION_METHODS_SESSION_KEY,
    record_authentication,
)
from allauth.core.internal import ratelimit
from celery.app.amqp import Queues
from celery.concurrency.base import BasePool
from django.contrib.staticfiles.storage import ManifestFilesMixin
from django.core.cache import caches
from django.core.cache.backends.db import BaseDatabaseCache
from django.db import connection
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.test import RequestFactory
from django.utils import timezone
from gunicorn.config import Config
from gunicorn.http.body import ChunkedReader
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker
from knox.crypto import hash_token
from kombu import Connection
from kombu.transport import filesystem, redis, virtual
from nltk.corpus.reader.wordnet import WordNetCorpusReader
from rest_framework.request import Request as ApiRequest
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3Experts
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssExperts
from transformers.models.mixtral.modeling_mixtral import MixtralExperts
from transformers.models.qwen2_moe.modeling_qwen2_moe import Qwen2MoeExperts
from wptools.page import WPToolsPage
from wptools.request import WPToolsRequest

from annotation_site.accounts.adapters import AccountAdapter
from annotation_site.accounts.models import User
from annotation_site.web_worker import Connection as WebConnection
from annotation_site.web_worker import Worker
from annotation_site.workers.queue_files import Channel
from annotation_site.workers.redis_queue import let_go_of_what_redis_forgot
from ffn_extract.glosses import wiki_requests

ROOT = Path(__file__).resolve().parent.parent
CHECKED: set[tuple[str, str, str]] = set()


def checked(library: str, with_version: str, *files: str) -> Callable[[Any], Any]:
    """Of a test: which library it looks at, in which version that was read, and who needs it."""
    CHECKED.update((library, with_version, file) for file in files)

    def mark(test: Any) -> Any:
        @functools.wraps(test)
        def run(*args: Any, **kwargs: Any) -> None:
            test(*args, **kwargs)
            assert version(library) == with_version, (
                f"{library} is {version(library)} now, and was read as {with_version}: see "
                f"{', '.join(files)}, then change the number here and in docs/design.md"
            )

        return run

    return mark


def test_the_page_about_design_lists_each_with_its_version():
    text = (ROOT / "docs/design.md").read_text()
    rows = re.findall(r"^\| ([\w-]+) ([\d.]+) \| .* \| `([\w/.]+)` \|$", text, re.MULTILINE)
    assert set(rows) == CHECKED
    for _, _, file in rows:
        assert (ROOT / file).is_file(), file


@checked("kombu", "5.7.0", "annotation_site/workers/queue_files.py")
def test_kombu_asks_a_channel_for_four_steps(tmp_path):
    for name in ("_put", "_get", "_size", "_purge", "get_table"):
        theirs = inspect.signature(getattr(virtual.Channel, name))
        assert [*inspect.signature(getattr(Channel, name)).parameters][:2] == [*theirs.parameters][
            :2
        ], name
    assert issubclass(filesystem.Channel, virtual.Channel)
    with Connection(
        "filesystem://",
        transport="annotation_site.workers.queue_files:Transport",
        transport_options={"folder": str(tmp_path / "queue")},
    ) as broker:
        queue = broker.SimpleQueue("one")
        queue.put({"pk": 7})
        assert queue.qsize() == 1
        message = queue.get(block=False)
        assert message.payload == {"pk": 7}
        message.ack()
        queue.put({"pk": 8})
        assert (queue.clear(), queue.qsize()) == (1, 0)
        queue.close()


@checked("kombu", "5.7.0", "annotation_site/workers/redis_queue.py")
def test_kombu_takes_the_class_of_its_bookkeeping_from_the_channel(monkeypatch):
    monkeypatch.setattr(redis.Channel, "QoS", redis.QoS)
    let_go_of_what_redis_forgot()
    assert redis.Channel.QoS.__module__ == "annotation_site.workers.redis_queue"

    def away(*_: Any) -> None:
        raise OSError("Redis is away")

    # What kombu's own does where it cannot reach Redis: it raises, and keeps the message.
    qos = redis.Channel.QoS(types.SimpleNamespace(do_restore=False), prefetch_count=1)
    monkeypatch.setattr(redis.QoS, "_remove_from_indices", away)
    virtual.QoS.append(qos, object(), "a")
    assert not qos.can_consume()
    with pytest.raises(OSError, match="Redis is away"):
        qos.ack("a")
    assert qos.can_consume()


@checked("celery", "5.7.0", "annotation_site/celery.py")
def test_celery_tells_what_a_worker_takes_and_how_much_at_once():
    queues = Queues({}, create_missing=True)
    queues.select(["results", "extraction"])
    assert {*queues.consume_from} == {"results", "extraction"}
    assert isinstance(inspect.getattr_static(BasePool, "num_processes"), property)


@checked("gunicorn", "27.0.1", "annotation_site/web_worker.py")
def test_gunicorns_worker_goes_through_the_methods_that_ours_replaces():
    replaced = {
        "accept": "set_accept_enabled", "enqueue_req": "accept", "finish_request": "enqueue_req",
        "murder_pending": "run", "_cap_keepalive": "run", "_keepalive_after": "handle",
    }  # fmt: skip
    for name, caller in replaced.items():
        assert f"self.{name}" in inspect.getsource(getattr(ThreadWorker, caller)), name
        ours, theirs = getattr(Worker, name), getattr(ThreadWorker, name)
        taken = [len(inspect.signature(one).parameters) for one in (ours, theirs)]
        assert taken[0] == taken[1], name
    worker = Worker(0, 0, [], None, 30, Config(), None)
    assert not worker.keepalived_conns
    assert (worker.nr_conns, worker.poller) == (0, None)
    worker.tmp._tmp.close()


@checked("gunicorn", "27.0.1", "annotation_site/web_worker.py")
def test_gunicorns_parser_takes_bytes_back_and_says_what_follows_a_head():
    here, there = socket.socketpair()
    with here, there:
        connection = WebConnection(Config(), here, ("", 0), ("", 0))
        assert isinstance(connection, TConn)
        assert connection.data_ready
        connection.init()
        connection.parser.unreader.unread(b"GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n")
        assert next(connection.parser).path == "/a"
        assert connection.parser.unreader.take_buffered() == b"GET /b HTTP/1.1\r\n\r\n"
        connection.set_timeout()
        assert connection.timeout > 0
    head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
    whole = Request(Config(), IterUnreader([head + b"Content-Length: 5\r\n\r\n"]), ("", 0))
    assert (whole.body.reader.length, whole._expected_100_continue) == (5, True)
    head += b"Transfer-Encoding: chunked\r\n\r\n"
    chunked = Request(Config(), IterUnreader([head]), ("", 0))
    assert isinstance(chunked.body.reader, ChunkedReader)


@checked("wptools", "0.4.17", "ffn_extract/glosses/wiki_requests.py")
def test_wptools_makes_its_requests_where_ours_stands():
    ours = wiki_requests._Page
    for name in ("_request", "_handle_continuations", "_update_imageinfo", "_set_query_image"):
        theirs = inspect.signature(getattr(WPToolsPage, name))
        assert len(inspect.signature(getattr(ours, name)).parameters) == len(theirs.parameters)
    calls = inspect.getsource(WPToolsPage) + inspect.getsource(WPToolsPage._get)
    for call in ("_handle_continuations(", "_update_imageinfo(", "_set_query_image(", "_request("):
        assert f"self.{call}" in calls, call
    assert "self.curl_perform(" in inspect.getsource(WPToolsRequest.get)
    assert "self.curl_setup(" in inspect.getsource(WPToolsRequest.__init__)
    assert "self.cobj" in inspect.getsource(WPToolsRequest.curl_setup)


@checked("transformers", "5.23.0", "ffn_extract/tracing/ffn_modules.py")
def test_transformers_experts_have_their_gate_in_a_method_and_read_in_one_order():
    for experts in (MixtralExperts, GptOssExperts, Qwen2MoeExperts, DeepseekV3Experts):
        assert list(inspect.signature(experts._apply_gate).parameters)[:1] == ["self"]
        names = list(inspect.signature(experts.forward).parameters)
        assert len(names) == 4
        assert names[1] == "hidden_states"
        assert "ind" in names[2]
        assert "weights" in names[3]


@checked("nltk", "3.10.4", "ffn_extract/glosses/wordnet.py")
def test_nltk_finds_synsets_by_the_base_forms_that_we_ask_for():
    assert list(inspect.signature(WordNetCorpusReader._morphy).parameters)[:3] == [
        "self", "form", "pos",
    ]  # fmt: skip
    assert "self._morphy(lemma, p," in inspect.getsource(WordNetCorpusReader.synsets)


@checked("django-allauth", "65.21.1", "annotation_site/accounts/adapters.py")
def test_allauth_gives_an_attempt_back_that_succeeded(rf, db, settings):
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": "2/m/key"}
    request = rf.post("/accounts/login/")
    adapter = AccountAdapter(request)
    attempt = {"app": "allauth.account", "action": "login_failed", "key": "ada"}
    for _ in range(3):  # of two a minute: each is given back
        usage = ratelimit.consume(request, **attempt)
        adapter._login_failed_rl_usage = ratelimit.RateLimitUsage(usage=[*usage.usage])
        DefaultAccountAdapter._rollback_login_failed_rl_usage(adapter)
    assert [bool(ratelimit.consume(request, **attempt)) for _ in range(3)] == [True, True, False]
    assert ratelimit.get_ip(request) == "127.0.0.1"


@checked("django-allauth", "65.21.1", "annotation_site/accounts/views/joining.py")
def test_allauth_keeps_how_somebody_proved_who_they_are(rf, client, db):
    request = rf.post("/")
    request.session = client.session
    request.user = User.objects.create(username="ada")
    record_authentication(request, request.user, method="password", username="ada")
    (record,) = request.session[AUTHENTICATION_METHODS_SESSION_KEY]
    assert (record["method"], record["username"]) == ("password", "ada")


@checked("Django", "5.2.19", "annotation_site/database_cache.py")
def test_djangos_cache_in_the_database_names_its_table(db):
    cache = caches["default"]
    assert isinstance(cache, BaseDatabaseCache)
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor)
    assert cache._table in names


@checked("Django", "5.2.19", "annotation_site/results/tables/reading.py")
def test_djangos_sqlite_begins_in_the_mode_of_the_moment():
    begins = inspect.getsource(DatabaseWrapper._start_transaction_under_autocommit)
    assert "self.transaction_mode" in begins


@checked("Django", "5.2.19", "annotation_site/operations/backup.py")
def test_djangos_raw_insert_leaves_times_alone(db):
    when = timezone.now() - timedelta(days=9)
    person = User(username="ada", joined_at=when)
    fields = [field for field in User._meta.concrete_fields if not field.primary_key]
    User._default_manager.all()._insert([person], fields, using="default", raw=True)
    assert User.objects.get().joined_at == when  # bulk_create would set it


@checked("Django", "5.2.19", "annotation_site/static_files.py")
def test_djangos_manifest_keeps_names_by_what_was_collected():
    assert "self.hashed_files" in inspect.getsource(ManifestFilesMixin.__init__)


@checked("djangorestframework", "3.18.3", "annotation_site/api/parsers.py")
def test_rest_framework_keeps_the_request_that_django_made():
    plain = RequestFactory().post("/")
    assert ApiRequest(plain)._request is plain


@checked("django-rest-knox", "5.1.0", "annotation_site/api/authentication.py")
def test_knoxs_digest_of_a_token_is_the_one_that_is_stored():
    assert hash_token("a" * 64) == hash_token("a" * 64) != hash_token("b" * 64)
    assert len(hash_token("a" * 64)) == 128
