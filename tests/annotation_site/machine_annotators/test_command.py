"""`manage.py annotate_by_machine`: forecast, a whole run with progress, limits, Ctrl-C."""

from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command

from annotation_site.machine_annotators import forecasts, runs
from annotation_site.machine_annotators.models import MachineRun
from tests.annotation_site.factories import make_study
from tests.annotation_site.machine_annotators.made import NONE, Answering, set_up

pytestmark = pytest.mark.django_db
State = MachineRun.State


@pytest.fixture(autouse=True)
def _model(settings):
    set_up(settings)


@pytest.fixture
def study():
    return make_study()


@pytest.fixture
def said(capsys):
    def run(*arguments):
        call_command("annotate_by_machine", *arguments)
        return capsys.readouterr()

    return run


def answers(monkeypatch, say=lambda request, n: NONE):
    model = Answering(say)
    monkeypatch.setattr(runs, "answerer_open", lambda is_wanted: model)
    return model


def test_a_forecast_sends_nothing(study, said, monkeypatch):
    model = answers(monkeypatch)
    out = said(study.slug, "--forecast").out
    assert out.startswith("12 lists for acme/Tiny-Model-1.5 at llm.example.org.\nAt most: 24 requ")
    assert "If no reply is malformed: 12 requests, " in out
    assert " USD." in out
    assert "[system]\nYou annotate lists" in out
    assert '[user]\nThe list has 30 tokens:\n\n1. "word' in out
    assert not model.requests
    assert not MachineRun.objects.exists()


def test_it_annotates_in_this_process_with_progress(study, said, monkeypatch):
    answers(monkeypatch)
    found = said(study.slug, "--most-cost", "5")
    assert found.out == (
        "Ready: 12 lists, of which 0 failed. 12 requests, 1,200 tokens sent, 120 received, "
        "0.00168 USD.\n"
    )
    assert "Run machine-tiny-model-1-5: 12 lists with acme/Tiny-Model-1.5" in found.err
    assert "6 of 12 lists, 0 failed" in found.err
    run = MachineRun.objects.get()
    assert (run.state, run.requested_by, run.most_requests) == (State.READY, None, 48)


def test_ctrl_c_leaves_a_run_that_can_be_continued(study, said, monkeypatch):
    def interrupt(request, n):
        if n == 5:
            raise KeyboardInterrupt
        return NONE

    answers(monkeypatch, interrupt)
    with pytest.raises(
        CommandError, match=r"4 of 12 lists done.*--continue machine-tiny-model-1-5"
    ):
        said(study.slug, "--most-cost", "5")
    assert MachineRun.objects.get().state == State.CANCELLED
    answers(monkeypatch)
    out = said(study.slug, "--continue", "machine-tiny-model-1-5").out
    assert out.startswith("Ready: 12 lists, of which 0 failed. 14 requests")
    assert MachineRun.objects.get().state == State.READY


def test_a_limit_is_said_and_raised(study, said, monkeypatch):
    answers(monkeypatch)
    with pytest.raises(CommandError, match=r"limit of 5 requests\. Continue it with a higher"):
        said(study.slug, "--most-cost", "5", "--most-requests", "5", "--seed", "3")
    name = "machine-tiny-model-1-5"
    said(study.slug, "--continue", name, "--most-requests", "50", "--most-cost", "6")
    run = MachineRun.objects.get()
    assert (run.state, run.seed, run.most_cost) == (State.READY, 3, Decimal(6))


REFUSED = [
    (["nowhere"], "There is no study “nowhere”. There are: a-study."),
    (["a-study"], "Give a limit of cost in USD"),
    (["a-study", "--vectors", "--most-cost", "1"], "study’s lists only"),
    (["a-study", "--continue", "machine-x"], "has no run “machine-x”. It has: none."),
    (["a-study", "--most-cost", "much"], "invalid amount value: 'much'"),
    (["a-study", "--most-cost", "1", "--temperature", "3"], "from 0 to 2"),
]


def test_what_cannot_be_done_is_said(study, said):
    for arguments, words in REFUSED:
        with pytest.raises(CommandError, match=words):
            said(*arguments)
    assert not MachineRun.objects.exists()


def test_a_forecast_that_is_no_bound_says_so(study, said, monkeypatch):
    monkeypatch.setattr(forecasts, "LOOKED_AT", 5)
    out = said(study.slug, "--forecast").out
    assert "At most, about: 24 requests" in out
    assert "The longest of 5 lists, chosen by chance, stands for those" in out
