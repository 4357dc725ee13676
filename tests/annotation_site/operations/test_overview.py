"""The page of the whole site: each fact, and what it asks of an admin."""

import re
from datetime import timedelta
from io import StringIO

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.utils import timezone

from annotation_site.accounts.models import AuditEntry, Role
from annotation_site.annotation.models import TakenTime
from annotation_site.corpus import services
from annotation_site.corpus.models import Extraction
from annotation_site.operations import disk, doctor, overview, site_cards, site_facts
from annotation_site.results.models import ExportJob, Snapshot
from annotation_site.sentences import Sentence
from annotation_site.workers.models import Worker
from ffn_extract.options import ExtractOptions
from ffn_extract.version import __version__
from tests.annotation_site.factories import UserFactory, client_of, make_study

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def a_site_of_its_own(settings, tmp_path):
    """Folders of the test's, and nothing kept from another one."""
    settings.VAR_DIR = tmp_path / "var"
    for name in ("MODELS_DIR", "BUNDLES_DIR", "EXPORTS_DIR"):
        setattr(settings, name, tmp_path / name.lower())
        (tmp_path / name.lower()).mkdir()
    settings.VAR_DIR.mkdir(mode=0o700)
    cache.clear()
    site_facts.forget_findings()
    yield
    site_facts.forget_findings()


@pytest.fixture
def admin():
    return client_of(UserFactory(role=Role.ADMIN))


def alive(name="n:1:x", seconds=0, **changes):
    seen = timezone.now() - timedelta(seconds=seconds)
    return Worker.objects.create(name=name, seen_at=seen, version=__version__, **changes)


def enqueue(source="gpt2"):
    return services.extraction_enqueue(model_source=source, options=ExtractOptions())


def cards():
    site_facts.forget_findings()
    return overview.overview().cards


def test_a_waiting_queue_without_a_worker_says_that_nothing_moves_and_why(admin):
    enqueue()
    card = cards()["queue"]
    assert (card.tone, card.headline, card.under) == ("bad", "Nothing moves", "1 task in the queue")
    assert "No worker is alive. Start one" in card.todo
    page = admin.get("/site/").content.decode()
    assert "Nothing is extracted, computed or exported." in page
    states = page[page.index('class="sum"') : page.index('id="attention"')]
    assert states.count('class="bad"') == 2  # the queue and the workers
    attention = page[page.index('id="attention"') : page.index('id="queue"')]
    assert attention.count("Nothing is extracted") == 1  # the reason is told once
    assert "Nothing moves" not in attention
    assert "python manage.py serve" in page


def test_a_worker_that_takes_no_extractions_does_not_move_them():
    enqueue()
    alive(extracts=False)
    found = cards()
    assert found["queue"].headline == "Extractions wait"
    assert found["workers"].tone == "warn"
    alive("n:2:x")
    assert cards()["queue"].headline == "2 min left"
    assert cards()["workers"].todo == "Nothing to do."


def test_a_silent_worker_is_told_from_one_that_is_alive(admin):
    alive(memory_bytes=400_000_000, free_memory_bytes=3_000_000_000)
    alive("old:2:x", seconds=4000)
    card = cards()["workers"]
    assert (card.tone, card.headline, card.under) == (
        "warn", "1 of 2 workers", "1 without heartbeat",
    )  # fmt: skip
    page = admin.get("/site/").content.decode()
    assert page.count(">alive</span>") == page.count(">silent</span>") == 1
    assert "400 MB" in page


def test_workers_show_what_they_do_and_the_queue_its_times(admin):
    study = make_study()
    alive()
    alive("n:2:x", extracts=False)
    one, two = enqueue("one"), enqueue("two")
    now = timezone.now()
    Extraction.objects.filter(pk=one.pk).update(
        state="running", worker="n:1:x", step="projection", step_done=1, step_total=2,
        started_at=now - timedelta(seconds=60),
    )  # fmt: skip
    ExportJob.objects.create(
        study=study, content="archive", state="running", worker="n:2:x", done=1, total=4
    )
    found = overview.overview()
    assert [(job.title, job.at_work, job.percent) for job in found.queue][1:] == [
        ("Replication archive of “A study”", True, 25), (two.title, False, 0),
    ]  # fmt: skip
    assert [worker.doing for worker in found.workers] == [
        f"{one.title}: Project every vector onto the vocabulary",
        "Replication archive of “A study”",
    ]
    assert found.queue[2].starts_in == found.queue[0].seconds
    page = " ".join(admin.get("/site/").content.decode().split())
    assert re.search(r"2 min, starts in \d+ s", page)


def test_failures_have_reason_numbers_attempts_log_and_a_way_on(admin):
    alive()
    failed = enqueue()
    study = make_study()
    now = timezone.now()
    Extraction.objects.filter(pk=failed.pk).update(
        state="failed", error=Sentence("The disk is full. Make room."), finished_at=now,
        attempts=3, step="updates", step_done=1200, step_total=2000, worker="n:1:x",
    )  # fmt: skip
    same = {"study": study, "filters": {}, "filter_key": "f", "state": "failed", "finished_at": now}
    Snapshot.objects.create(data_version=1, error="Old.", **same)
    Snapshot.objects.create(data_version=2, error="Out of memory.", **same)
    found = overview.overview()
    assert [(row.title, row.text) for row in found.attention if row.at] == [
        ("Results of “A study”: failed", "Out of memory."),
        ("The extraction “gpt2, 10 per layer” failed", "The disk is full. Make room."),
    ] or [row.text for row in found.attention if row.at] == [
        "The disk is full. Make room.", "Out of memory.",
    ]  # fmt: skip
    row = next(row for row in found.attention if "gpt2" in row.title)
    assert row.details == [
        "worker n:1", "in the step “Run the model over the corpus”", "1,200 of 2,000 done",
        "3 attempts",
    ]  # fmt: skip
    assert found.cards["failures"].headline == "2 failures"
    page = admin.get("/site/").content.decode()
    assert f'href="/models/{failed.public_id}/log.txt"' in page
    assert admin.post(row.address).status_code == 302
    failed.refresh_from_db()
    assert failed.state == "queued"


def test_the_disk_is_measured_per_kind_kept_for_minutes_and_bounded(settings, monkeypatch):
    def write(folder, name, size=100_000):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)

    write(settings.MODELS_DIR, "unused/model.safetensors")
    write(settings.MODELS_DIR, "gpt2.gguf")
    write(settings.BUNDLES_DIR, "a/vectors.parquet", 200_000)
    write(settings.BUNDLES_DIR, ".incoming/b", 50_000)
    write(settings.EXPORTS_DIR, "file.zip", 300_000)
    write(settings.EXPORTS_DIR, "snapshot-1/figure.svg", 10_000)
    monkeypatch.setattr(disk, "HF_HUB_CACHE", str(settings.VAR_DIR / "none"))
    Extraction.objects.create(model_source="gpt2.gguf", title="x")
    found = disk.disk_use()
    about = {kind: round(size, -5) for kind, size in found.sizes.items()}
    assert (about["models"], about["bundles"], about["exports"]) == (200_000, 200_000, 300_000)
    assert 50_000 <= found.sizes["uploads"] < 60_000
    assert 10_000 <= found.sizes["figures"] < 20_000
    assert (found.unused_models, found.cut) == (["unused"], [])
    assert "belong to no extraction: unused." in cards()["disk"].todo
    write(settings.EXPORTS_DIR, "later.zip")
    assert disk.disk_use() == found
    cache.clear()
    monkeypatch.setattr(disk, "WALK_SECONDS", -1)
    assert "exports" in disk.disk_use().cut


def test_little_room_asks_for_more(monkeypatch):
    monkeypatch.setattr(doctor, "LEAST_FREE_BYTES", 10**15)
    card = cards()["disk"]
    assert (card.tone, card.act) == ("bad", True)
    assert card.todo.startswith("Make room")


def test_the_page_says_how_old_the_last_backup_is(tmp_path):
    assert cards()["backup"].headline == "No backup yet"
    UserFactory(role=Role.ADMIN)
    call_command("backup", str(tmp_path / "b.tar"), stdout=StringIO())
    entry = AuditEntry.objects.get(action="backup_made")
    assert entry.details["bytes"] == (tmp_path / "b.tar").stat().st_size
    assert str(tmp_path) not in str(entry.details)
    card = cards()["backup"]
    assert card.todo == (
        "The last backup is on the disk of the data. Copy it to another machine."
        if entry.details["on_this_disk"]
        else "Nothing to do."
    )
    for days, tone, headline in ((3, "warn", "3 days ago"), (8, "bad", "8 days ago")):
        later = timezone.now() + timedelta(days=days, minutes=1)
        found = site_cards.backup_card(entry, later)
        assert (found.tone, found.headline) == (tone, headline)


def test_people_at_work_now_and_today_are_counted():
    now = timezone.now()
    for minutes in (1, 10, 40):
        at = now - timedelta(minutes=minutes)
        TakenTime.objects.create(user=UserFactory(), at=at, day=now.date())
    found = overview.overview()
    assert dict(found.people)["At work now"] == 2
    assert dict(found.people)["At work today"] == 3
    assert found.cards["people"].todo == "Nothing to do. A restart now would interrupt 2 people."


def test_a_worker_of_another_version_is_named():
    worker = alive()
    Worker.objects.filter(pk=worker.pk).update(version="0.1.9")
    assert "n:1 (0.1.9)" in cards()["versions"].todo


def test_every_card_ends_in_what_to_do_and_no_state_is_colour_alone(admin):
    page = admin.get("/site/").content.decode()
    found = overview.overview()
    assert all(card.todo for card in found.cards.values())
    shown = re.findall(r'<p class="do( act)?">([^<]+)</p>', page)
    assert len(shown) == page.count("<section class=") == len(found.cards)
    assert all(bool(act) != said.startswith("Nothing to do") for act, said in shown if said != "x")
    summary = page[page.index('class="sum"') : page.index('id="attention"')]
    assert summary.count("<a class=") == summary.count("<b>") == 6
    for target in re.findall(r'href="#([a-z]+)"', page):
        assert target == "main" or f'id="{target}"' in page


def test_it_answers_in_few_queries_whatever_the_size_of_the_site(
    admin, django_assert_max_num_queries
):
    admin.get("/site/")  # measures the disk and asks the doctor, for the next minutes
    for n in range(30):
        alive(f"n:{n}:x")
        enqueue(f"m{n}")
    study = make_study()
    for content in ("jsonl", "archive"):
        ExportJob.objects.create(study=study, content=content)
    # session, person; workers, what they do: extractions, layers; what waits: two; the queue:
    # extractions, pace, correction, layers, workers; measurements, traces, proxies, language
    # models, snapshots, exports, deletions, public pages, data sets; disk; failures: eight;
    # backup; people: three; the database; unread notices
    with django_assert_max_num_queries(36):
        page = admin.get("/site/").content.decode()
    assert "and 22 more" in page


def test_the_page_follows_the_site_and_stays_as_it_is_while_nothing_changes(admin):
    have = admin.get("/site/").context["shown"]
    htmx = {"HX-Request": "true"}
    assert admin.get(f"/site/?have={have}", headers=htmx).status_code == 204
    enqueue()
    response = admin.get(f"/site/?have={have}", headers=htmx)
    assert response.status_code == 200
    assert "<html" not in response.content.decode()
