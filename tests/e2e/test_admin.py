"""An admin finds out from one page why nothing moves, in a real browser."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.pages import log_in, look
from tests.e2e.site import Site
from tests.faults.marks import ONCE

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e"), ONCE]
PEOPLE = {"root": "admin", "rosa": "researcher"}
# Two extractions wait, one failed, and no worker is alive: one stopped without a word.
WORLD = """
from datetime import timedelta
from django.utils import timezone
from annotation_site.accounts.models import User
from annotation_site.corpus import services
from annotation_site.corpus.models import Extraction
from annotation_site.sentences import Sentence
from annotation_site.workers.models import Worker
from ffn_extract.options import ExtractOptions
from tests.annotation_site.factories import make_study
root = User.objects.get(username="root")
make_study(researcher=User.objects.get(username="rosa"), title="Concepts in a small encoder")
def enqueue(**options):
    return services.extraction_enqueue(
        model_source="gpt2", options=ExtractOptions(**options), requested_by=root)
enqueue(per_layer=20), enqueue(per_layer="all")
failed = services.extraction_claim(extraction_id=enqueue(seed=7).pk)
Extraction.objects.filter(pk=failed.pk).update(step="updates", step_done=1200, step_total=2000)
services.extraction_fail(failed, Sentence(
    "The server cannot write its files: No space left on device. Free disk space there or make "
    "its folders writable, then try again. Nothing half-written is kept."))
Worker.objects.create(name="node1:4711:abc", seen_at=timezone.now() - timedelta(minutes=78))
"""


def test_an_admin_finds_out_why_nothing_moves_and_sees_it_move(world: Site, page: Page):
    log_in(page, "root")
    page.get_by_role("link", name="Overview").click()
    states = page.get_by_role("list", name="State of the site")
    expect(states.get_by_role("link")).to_have_count(6)
    expect(states.get_by_role("link", name="Nothing moves")).to_contain_text("2 tasks in the queue")
    expect(states.get_by_role("link", name="No worker is alive")).to_be_visible()
    attention = page.get_by_role("region", name="Needs attention")
    expect(attention).to_contain_text("Nothing is extracted, computed or exported.")
    expect(attention).to_contain_text("No space left on device")
    expect(attention).to_contain_text("1,200 of 2,000 done")
    look(page, "admin-nothing-moves")

    # A click on the state leads to the workers, where the command stands.
    states.get_by_role("link", name="No worker is alive").click()
    workers = page.get_by_role("region", name="Workers")
    expect(workers).to_contain_text("node1:4711")
    expect(workers).to_contain_text("celery --app annotation_site worker --queues extraction")

    # A worker starts elsewhere: the page follows without a reload.
    world.run(
        "from annotation_site.workers.heartbeat import _beat\n"
        "_beat('node2:9:def', {'extracts': True, 'tasks_at_once': 1})"
    )
    expect(states.get_by_role("link", name=re.compile("left$|left "))).to_be_visible()
    queue = page.get_by_role("region", name="Queue")
    expect(queue).to_contain_text("starts in")

    # The failure's log, and another try from the same row.
    attention.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="gpt2, 10 per layer, seed 7")).to_be_visible()
    expect(page.get_by_text("Queued again.")).to_be_visible()
    look(page, "admin-extraction")

    # The failure is among the notices too, told once.
    page.get_by_role("link", name="Notices").click()
    notice = page.get_by_role("listitem").filter(has_text="seed 7” failed")
    expect(notice).to_have_count(1)
    look(page, "admin-notices")
    notice.get_by_role("button", name="Look at it").click()
    expect(page.get_by_role("heading", name="gpt2, 10 per layer, seed 7")).to_be_visible()
    expect(page.get_by_role("link", name="Notices")).not_to_contain_text("unread")


def test_a_model_that_is_not_found_has_no_main_button(world: Site, page: Page):
    log_in(page, "root")
    page.goto("/models/enqueue/")
    page.get_by_label("model of the hub, by its id").fill("../etc")
    page.get_by_role("button", name="Estimate time and memory").click()
    expect(page.get_by_text("is not the name of a model")).to_be_visible()
    expect(page.locator(".button-primary")).to_have_count(0)
    look(page, "admin-enqueue-refused")
