"""A local model answers from a process apart, and every failure of it is a sentence."""

from typing import Any, ClassVar

import pytest

from annotation_site.machine_annotators import local
from annotation_site.machine_annotators.answerers import NoReply, Reply, Request
from annotation_site.machine_annotators.local import AT_ONCE, LocalAnswerer
from annotation_site.workers.claims import ClaimLost
from ffn_extract.errors import FFNExtractError, ProcessEnded
from ffn_extract.progress import Progress

MESSAGES = [{"role": "system", "content": "Find patterns."}, {"role": "user", "content": "1. dog"}]
ASKED = Request(MESSAGES, 0.5, 3, 100)


class FakeProcess:
    """A process that replies with the number of its batch, or raises what it is given."""

    started: ClassVar[list["FakeProcess"]] = []
    raises: Exception | None = None

    def __init__(self) -> None:
        self.batches: list[Any] = []
        self.is_open = True
        self.started.append(self)

    def replies(self, model, reading, requests, report):
        self.batches.append((model, reading, requests))
        if self.raises is not None:
            raise self.raises
        one = {"text": str(len(self.batches)), "input_tokens": 9, "output_tokens": 1, "refused": ""}
        return {"replies": [dict(one) for _ in requests], "version": "tiny (0123)"}

    def close(self):
        self.is_open = False


@pytest.fixture
def process(monkeypatch):
    monkeypatch.setattr(FakeProcess, "started", [])
    monkeypatch.setattr(FakeProcess, "raises", None)
    return FakeProcess


def test_requests_go_in_batches_to_one_process_which_close_ends(process):
    answerer = LocalAnswerer("tiny", process)
    assert process.started == []  # not before it is asked
    found = list(answerer.ask([ASKED] * (AT_ONCE + 2)))
    assert [number for number, _ in found] == list(range(AT_ONCE + 2))
    assert [reply.text for _, reply in found] == ["1"] * AT_ONCE + ["2", "2"]
    (one,) = process.started
    model, reading, requests = one.batches[0]
    assert (model, reading, len(requests)) == ("tiny", {}, AT_ONCE)
    assert requests[0] == {
        "messages": MESSAGES, "temperature": 0.5, "seed": 3, "max_tokens": 100,
    }  # fmt: skip
    assert found[0][1].model_version == "tiny (0123)"
    answerer.close()
    answerer.close()  # a no-op
    assert not one.is_open


@pytest.mark.parametrize(
    ("raised", "is_final", "said"),
    [
        (FFNExtractError("It has no chat template."), True, "It has no chat template."),
        (ModuleNotFoundError("No module named torch", name="torch"), True, "package torch"),
        (ProcessEnded("The process ended."), False, "The process ended."),
    ],
)
def test_a_failure_is_no_reply_to_any_request_of_the_batch(process, raised, is_final, said):
    process.raises = raised
    answerer = LocalAnswerer("tiny", process)
    found = [reply for _, reply in answerer.ask([ASKED, ASKED])]
    assert len(found) == 2
    assert all(isinstance(one, NoReply) and one.is_final is is_final for one in found)
    assert said in found[0].sentence


def test_a_batch_that_is_no_longer_wanted_ends_with_what_says_so(process, monkeypatch):
    monkeypatch.setattr(local, "WANTED_SECONDS", 0.0)
    tokens = []

    def replies(self, model, reading, requests, report):
        for so_far in range(100):
            tokens.append(so_far)
            report(Progress("reply", so_far, 100))

    def is_wanted():
        if len(tokens) == 3:
            raise ClaimLost

    monkeypatch.setattr(process, "replies", replies)
    answerer = LocalAnswerer("tiny", process, is_wanted=is_wanted)
    with pytest.raises(ClaimLost):
        list(answerer.ask([ASKED]))
    assert len(tokens) == 3


def test_whether_a_batch_is_wanted_is_asked_each_second_at_most(process, monkeypatch):
    asked = []

    def replies(self, model, reading, requests, report):
        for so_far in range(1_000):
            report(Progress("reply", so_far, 1_000))
        return {"replies": [], "version": ""}

    monkeypatch.setattr(process, "replies", replies)
    list(LocalAnswerer("tiny", process, is_wanted=lambda: asked.append(1)).ask([ASKED]))
    assert len(asked) <= 1


def test_after_a_process_that_ended_the_next_request_has_another(process):
    process.raises = ProcessEnded("The process ended.")
    answerer = LocalAnswerer("tiny", process)
    list(answerer.ask([ASKED]))
    process.raises = None
    ((_, found),) = answerer.ask([ASKED])
    assert isinstance(found, Reply)
    assert [one.is_open for one in process.started] == [False, True]


def test_a_conversation_that_is_too_long_is_no_reply(process, monkeypatch):
    refused = {"text": "", "input_tokens": 9, "output_tokens": 0, "refused": "Too long."}
    monkeypatch.setattr(
        process, "replies", lambda *_: {"replies": [refused], "version": "tiny (0123)"}
    )
    ((_, found),) = LocalAnswerer("tiny", process).ask([ASKED])
    assert (found.is_final, found.is_hopeless, found.sentence) == (
        False, True, "Too long. Shorten the prompt or the guidelines.",
    )  # fmt: skip


def test_the_most_input_tokens_are_bounded_by_the_bytes():
    assert LocalAnswerer("tiny").most_input_tokens(MESSAGES) > 20
