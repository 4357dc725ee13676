"""An endpoint is asked once per request, whatever it does, and no request outlives its limit."""

import json
import threading
import time
from dataclasses import replace
from decimal import Decimal

import pytest

from annotation_site.annotation.lists.annotation_format import Rules
from annotation_site.annotation.lists.entries import ListEntry
from annotation_site.machine_annotators.answerers import (
    NoReply,
    Reply,
    Request,
    answerer_open,
    configured,
)
from annotation_site.machine_annotators.endpoint import LONGEST_WAIT, EndpointAnswerer
from annotation_site.machine_annotators.local import LocalAnswerer
from annotation_site.machine_annotators.messages import DEFAULT_PROMPT, Task, list_messages
from annotation_site.machine_annotators.replies import ReplyMalformed, reply_read
from tests.annotation_site.machine_annotators.fake_endpoint import (
    HOSTILE,
    LIES,
    MODEL,
    Behaviour,
    FakeEndpoint,
    always,
    answer_to,
    asked_in,
    in_turn,
    seeded,
)

KEY = "sk-0123456789-secret"
TASK = Task(DEFAULT_PROMPT, "", ("semantic", "syntactic"), 4, False, "top_tokens")
RULES = Rules(30, TASK.categories, False)


def request_of(number: int = 1) -> Request:
    entries = [ListEntry(rank, f"word{rank * number}") for rank in range(1, 31)]
    return Request(list_messages(TASK, entries), 0.0, 7, 300)


@pytest.fixture
def ask():
    """Ask a fake endpoint with a plan; gives the replies in the order of requests."""
    opened = []

    def ask(plan, *requests, seconds=5.0, at_once=4, key=KEY, **options):
        endpoint = FakeEndpoint(plan, **options).__enter__()
        answerer = EndpointAnswerer(
            address=endpoint.address, model="a-model", key=key, at_once=at_once, seconds=seconds
        )
        opened.extend([answerer, endpoint])
        ask.endpoint, ask.answerer = endpoint, answerer
        found = dict(answerer.ask(requests or [request_of()]))
        return [found[number] for number in range(len(found))]

    yield ask
    for one in opened:
        one.close()


def test_a_request_is_what_was_to_be_sent_and_nothing_else(ask):
    (reply,) = ask(always(Behaviour.GOOD))
    (seen,) = ask.endpoint.requests
    request = request_of()
    assert seen.path == "/v1/chat/completions"
    assert seen.body == {
        "model": "a-model", "messages": request.messages, "temperature": 0.0, "seed": 7,
        "max_tokens": 300,
    }  # fmt: skip
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    said = {name.lower() for name in seen.headers}
    assert said == {
        "host", "connection", "authorization", "accept", "content-type", "user-agent",
        "accept-encoding", "x-stainless-raw-response", "content-length",
    }  # fmt: skip
    assert json.loads(reply.text) == answer_to(request.messages)
    assert reply_read(reply.text, RULES).patterns[0].description == "by their spelling"
    assert reply.model_version == MODEL
    assert reply.input_tokens == len(seen.raw) // 4
    assert reply.output_tokens > 1
    assert 0 < reply.seconds < 5


def test_without_a_key_none_is_sent(ask, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "of-the-environment")
    monkeypatch.setenv("OPENAI_ORG_ID", "of-the-environment")
    ask(always(Behaviour.GOOD), key="")
    assert "authorization" not in {name.lower() for name in ask.endpoint.requests[0].headers}
    assert "of-the-environment" not in ask.endpoint.text()


NO_REPLY = {
    Behaviour.RATE_LIMITED: (False, "busy"),
    Behaviour.NO_CREDIT: (True, "no credit left"),
    Behaviour.OVERLOADED: (False, "busy or out of order (status 500)"),
    Behaviour.KEY_REFUSED: (True, "refuses the key (status 401). Check LLM_API_KEY."),
    Behaviour.MODEL_UNKNOWN: (True, "Check LLM_MODEL"),
    Behaviour.BAD_REQUEST: (False, "longer than the model reads (status 400)"),
    Behaviour.HANGS_UP: (False, "connection"),
    Behaviour.CLOSES_HALF_WAY: (False, "connection"),
    Behaviour.ENDLESS: (False, "more than 1,000,000 bytes"),
    Behaviour.ENDLESS_ERROR: (False, "more than 1,000,000 bytes"),
    Behaviour.GZIP_BOMB: (False, "encoded its reply"),
    Behaviour.WRONG_TYPE: (False, "no chat completion"),
    Behaviour.REDIRECTS: (False, "redirects"),
    Behaviour.BROKEN_JSON: (False, "no chat completion"),
    Behaviour.DEEP_JSON: (False, "no chat completion"),
    Behaviour.NO_CHOICES: (False, "no chat completion"),
    Behaviour.DRIPS: (False, "no whole reply within 0.3 seconds"),
    Behaviour.DRIPS_HEADERS: (False, "no whole reply within 0.3 seconds"),
    Behaviour.SILENT: (False, "no whole reply within 0.3 seconds"),
}
SLOW = {Behaviour.DRIPS, Behaviour.DRIPS_HEADERS, Behaviour.SILENT}


@pytest.mark.parametrize("behaviour", NO_REPLY)
def test_what_is_no_reply_is_said_in_a_sentence_after_one_request(ask, behaviour):
    start = time.monotonic()
    (found,) = ask(always(behaviour), seconds=0.3 if behaviour in SLOW else 5.0)
    assert time.monotonic() - start < 2
    is_final, sentence = NO_REPLY[behaviour]
    assert isinstance(found, NoReply)
    assert sentence in found.sentence
    assert found.is_final is is_final
    assert found.is_busy is (behaviour is Behaviour.RATE_LIMITED)
    assert found.is_hopeless is (behaviour is Behaviour.BAD_REQUEST)  # the list is too long
    assert KEY not in repr(found)
    assert len(ask.endpoint.requests) == 1


@pytest.mark.parametrize("number", range(6))
def test_choices_of_every_wrong_form_are_no_reply(ask, number):
    good = [Behaviour.GOOD] * number
    found = ask(in_turn(*good, Behaviour.NO_CHOICES), *[request_of()] * (number + 1), at_once=1)
    assert "no chat completion" in found[number].sentence


def test_a_redirect_is_not_followed_with_the_lists_and_the_key(ask):
    ask(always(Behaviour.REDIRECTS))
    assert [seen.path for seen in ask.endpoint.requests] == ["/v1/chat/completions"]


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        ("7", 7, 7), ("0.5", 0.5, 0.5), ("-3", 0, 0), ("1e9", LONGEST_WAIT, LONGEST_WAIT),
        ("inf", LONGEST_WAIT, LONGEST_WAIT), ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("Wed, 21 Oct 2999 07:28:00 GMT", LONGEST_WAIT, LONGEST_WAIT),
    ],
)  # fmt: skip
def test_the_wait_that_an_endpoint_asks_for_is_bounded(ask, said, least, most):
    (found,) = ask(always(Behaviour.RATE_LIMITED), retry_after=said)
    assert least <= found.retry_after <= most


@pytest.mark.parametrize("said", ["soon", "nan", "Wed, 99 Oct 2015", ""])
def test_a_wait_that_cannot_be_read_is_none(ask, said):
    (found,) = ask(always(Behaviour.RATE_LIMITED), retry_after=said)
    assert found.retry_after is None


@pytest.mark.parametrize("number", range(len(LIES)))
def test_usage_that_cannot_be_is_none(ask, number):
    good = [Behaviour.GOOD] * number
    found = ask(in_turn(*good, Behaviour.LYING_USAGE), *[request_of()] * (number + 1), at_once=1)
    assert isinstance(found[number], Reply)
    assert (found[number].input_tokens, found[number].output_tokens) == (None, None)


def test_usage_that_is_not_said_is_none_and_what_cost_more_is_said(ask):
    (silent,) = ask(always(Behaviour.NO_USAGE))
    assert (silent.input_tokens, silent.output_tokens) == (None, None)
    (expensive,) = ask(always(Behaviour.EXPENSIVE))
    assert expensive.output_tokens == 20 * 300


def test_a_reply_without_content_is_an_empty_one_so_that_its_cost_counts(ask):
    (found,) = ask(always(Behaviour.NULL_CONTENT))
    assert found.text == ""
    assert found.input_tokens > 0


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_a_hostile_reply_comes_as_it_is_and_is_malformed(ask, number):
    good = [Behaviour.GOOD] * number
    found = ask(in_turn(*good, Behaviour.HOSTILE), *[request_of()] * (number + 1), at_once=1)
    assert found[number].text == HOSTILE[number]
    with pytest.raises(ReplyMalformed):
        reply_read(found[number].text, RULES)


def test_an_endpoint_that_calls_the_limit_otherwise_is_asked_its_way_from_then_on(ask):
    first, second = ask(always(Behaviour.OTHER_LIMIT), request_of(1), request_of(2), at_once=1)
    assert (first.is_final, first.retry_after) == (False, 0)
    assert isinstance(second, Reply)
    assert ask.endpoint.requests[1].body["max_completion_tokens"] == 300


def test_an_endpoint_that_is_gone_is_no_reply(ask):
    ask(always(Behaviour.GOOD))
    ask.endpoint.close()
    ((number, found),) = ask.answerer.ask([request_of()])
    assert (number, found.is_final) == (0, False)
    assert "Check LLM_ENDPOINT" in found.sentence


def test_so_many_requests_are_under_way_at_once_and_replies_come_as_they_are_ready(ask):
    slow = in_turn(Behaviour.SLOW)
    endpoint = FakeEndpoint(slow, slow=0.3).__enter__()
    answerer = EndpointAnswerer(address=endpoint.address, model="m", key="", at_once=2, seconds=5)
    try:
        order = [number for number, _ in answerer.ask([request_of(n) for n in range(1, 6)])]
    finally:
        answerer.close()
        endpoint.close()
    assert order[-1] in (0, 1)  # the slow one, while the others passed it
    assert sorted(order) == [0, 1, 2, 3, 4]


def test_who_stops_listening_ends_the_requests_under_way(ask):
    ask(always(Behaviour.GOOD))
    endpoint = FakeEndpoint(in_turn(Behaviour.GOOD, *[Behaviour.SILENT] * 9)).__enter__()
    answerer = EndpointAnswerer(address=endpoint.address, model="m", key="", at_once=1, seconds=60)
    replies = answerer.ask([request_of(n) for n in range(1, 9)])
    next(replies)
    replies.close()
    start = time.monotonic()
    answerer.close()
    answerer.close()  # a no-op
    assert time.monotonic() - start < 3
    assert len(endpoint.requests) <= 2
    endpoint.close()


def test_a_closed_answerer_leaves_no_thread(ask):
    before = threading.active_count()
    answerer = EndpointAnswerer(
        address="http://127.0.0.1:9/v1", model="m", key="", at_once=1, seconds=1
    )
    answerer.close()
    assert threading.active_count() == before


def test_a_mix_of_misbehaviour_gives_each_request_one_outcome(ask):
    kinds = [b for b in Behaviour if b not in SLOW and b is not Behaviour.GOOD]
    plan = seeded(3, {behaviour: 0.5 / len(kinds) for behaviour in kinds})
    found = ask(plan, *[request_of(n) for n in range(1, 101)], slow=0.01)
    assert len(found) == 100
    asked = {seen.asked: seen.behaviour for seen in ask.endpoint.requests}
    assert ask.endpoint.most_asked() == 1
    good = [n for n in range(100) if asked[asked_in(request_of(n + 1).messages)] == "good"]
    assert 30 < len(good) < 70
    for number in good:
        assert json.loads(found[number].text) == answer_to(request_of(number + 1).messages)
    assert KEY not in "".join(map(repr, found))


def test_input_tokens_are_bounded_by_the_bytes(ask):
    ask(always(Behaviour.GOOD))
    messages = request_of().messages
    most = ask.answerer.most_input_tokens(messages)
    assert most > len("".join(one["content"] for one in messages).encode())


def test_what_is_configured_is_known_without_the_key(settings):
    settings.LLM_MODEL = ""
    assert configured() is None
    settings.LLM_MODEL, settings.LLM_ENDPOINT = "a-model", "https://api.example.org:8443/v1"
    settings.LLM_API_KEY, settings.LLM_PRICE_INPUT = KEY, Decimal("0.15")
    found = configured()
    assert (found.model, found.endpoint_host, found.is_local) == (
        "a-model", "api.example.org:8443", False,
    )  # fmt: skip
    assert (found.price_input, found.currency, found.keep_days) == (Decimal("0.15"), "USD", 90)
    assert KEY not in repr(found)
    settings.LLM_ENDPOINT, settings.LLM_PRICE_INPUT = "", None
    assert (configured().is_local, configured().currency) == (True, "")
    assert replace(found, endpoint_host="").is_local


def test_the_answerer_of_the_settings_is_opened(settings):
    settings.LLM_MODEL = ""
    with pytest.raises(NoReply, match="No language model is set up") as refused:
        answerer_open()
    assert refused.value.is_final
    with FakeEndpoint() as endpoint:
        settings.LLM_MODEL, settings.LLM_ENDPOINT = "a-model", endpoint.address
        settings.LLM_PARALLEL = 3
        answerer = answerer_open()
        assert answerer.at_once == 3
        ((_, found),) = answerer.ask([request_of()])
        answerer.close()
    assert isinstance(found, Reply)
    settings.LLM_ENDPOINT = ""
    local = answerer_open()
    assert isinstance(local, LocalAnswerer)
    local.close()
