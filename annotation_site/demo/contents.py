"""Contents of the demo's database: lists of two models, four people, two studies, an example.

Each function makes what is missing and nothing twice, so that a run that was killed is finished by
the next one.
"""

import json
import secrets
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from django.contrib.auth.hashers import check_password

from annotation_site.accounts.models import AuditEntry, User
from annotation_site.accounts.services import person_create
from annotation_site.annotation.models import Study
from annotation_site.annotation.studies.plans import StudyPlan
from annotation_site.annotation.studies.services import study_create_open
from annotation_site.corpus.importing import bundle_import
from annotation_site.corpus.models import Extraction, Kind
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.corpus.services import extraction_enqueue
from annotation_site.demo.terminal import run_quietly
from annotation_site.errors import DATABASE_AWAY, Invalid, SiteError
from annotation_site.private_files import private_file_make
from annotation_site.results.files.archive_restore import EXAMPLE_ARCHIVE, study_restore
from annotation_site.results.files.jobs import export_request
from annotation_site.sentences import english
from ffn_extract.options import ExtractOptions

PEOPLE = (
    ("ada", "annotator"),
    ("ben", "annotator"),
    ("rosa", "researcher"),
    ("admin", "admin"),
)
ENDED = (Extraction.State.READY, Extraction.State.FAILED, Extraction.State.CANCELLED)
PEOPLE_FILE = "demo_people.json"
TITLE = "Concepts in a small encoder"
TITLE_OF_BOTH = "An encoder beside a language model"
LISTS_OF_BOTH = 2  # per layer and kind: the language model has five times as many layers


def encoder_lists(var: Path, name: str) -> Extraction:
    """The lists of the encoder: extracted by a process of its own, whose memory goes with it."""
    ready = extractions_ready().filter(model__name=name).last()
    if ready is not None:
        return ready
    bundle = var / "bundles" / "demo"
    if not (bundle / "manifest.json").exists():
        bundle.parent.mkdir(exist_ok=True)
        extract = [sys.executable, "-m", "ffn_extract", "extract", str(var / "models" / name)]
        run_quietly(
            [*extract, "--name", name, "--out", str(bundle)],
            log=var / "demo-extraction.log",
            failed=f"The lists of {name} could not be extracted",
        )
    return bundle_import(path=bundle)[0]


def people_make(var: Path) -> dict[str, str]:
    """The demo's people; returns the passwords of those who still have the one they were given.

    The passwords are random, in a file that only its owner reads.
    """
    path = var / PEOPLE_FILE
    given = {name: f"{secrets.token_hex(3)}-{secrets.token_hex(3)}" for name, _ in PEOPLE}
    private_file_make(path, json.dumps(given, indent=1))
    given = json.loads(path.read_text())
    known = set(User.objects.values_list("username", flat=True))
    for name, role in PEOPLE:
        if name not in known and name in given:
            person_create(username=name, password=given[name], role=role)
    people = demo_people()
    with ThreadPoolExecutor() as pool:  # hashing a password takes a third of a second
        kept = pool.map(lambda u: check_password(given.get(u.username, ""), u.password), people)
        pairs = zip(people, kept, strict=True)
        return {user.username: given[user.username] for user, is_kept in pairs if is_kept}


def demo_people() -> list[User]:
    """The demo's people, in the order of `PEOPLE`."""
    found = User.objects.in_bulk([name for name, _ in PEOPLE], field_name="username")
    return [found[name] for name, _ in PEOPLE if name in found]


def study_make(title: str, extractions: list[Extraction], **changes: object) -> bool:
    """A study over all lists, open for both annotators; False where it is there already."""
    if Study.objects.filter(title=title).exists():
        return False
    people = {person.username: person for person in demo_people()}
    if "rosa" not in people:
        raise Invalid(f"The study “{title}” was not made, because nobody is called rosa now.")
    plan = StudyPlan(
        title=title,
        extractions=extractions,
        annotators=[people[name] for name in ("ada", "ben") if name in people],
        **changes,  # type: ignore[arg-type]
    )
    study_create_open(plan=plan, created_by=people["rosa"])
    return True


def language_model_enqueue(name: str, encoder: Extraction) -> Extraction:
    """The extraction of the language model, which a worker does; enqueued once.

    With glosses and updates where the encoder has them.
    """
    source = f"{name}.gguf"
    found = Extraction.objects.filter(model_source=source, imported=False, uploaded=False).last()
    if found is not None:
        return found
    before = encoder.parameters
    options = {
        "name": name,
        "kinds": before["kinds"],
        "glosses": [gloss["source"] for gloss in before["glosses"]],
    }
    return extraction_enqueue(
        model_source=source,
        options=ExtractOptions.read(options),
        requested_by=User.objects.filter(username="admin").first(),
    )


def study_of_both_make(extractions: list[Extraction]) -> bool:
    """The study whose tables have a column for each model; False where it is there already."""
    return study_make(
        TITLE_OF_BOTH,
        extractions,
        kinds=(Kind.VALUE.value, Kind.RANDOM.value),
        lists_per_layer=LISTS_OF_BOTH,
    )


class SecondStudy:
    """Waits for the language model's lists, and then makes the study over both models."""

    def __init__(self, encoder: Extraction, waits_for: Extraction) -> None:
        self._encoder, self._waits_for = encoder, waits_for

    def __call__(self) -> bool:
        """Look once; True when there is nothing more to wait for. Failures are printed."""
        try:
            found = Extraction.objects.filter(pk=self._waits_for.pk).first()
            if found is None or found.state not in ENDED:
                return found is None
            if found.state == Extraction.State.READY:
                if study_of_both_make([self._encoder, found.same_as or found]):
                    print(f"The study “{TITLE_OF_BOTH}” is open.", flush=True)
            else:
                reason = english(found.error) or "it was cancelled."
                print(
                    f"{found.model_source} was not read: {reason} Press “Retry” on the page "
                    "Models, then start the demo again.",
                    flush=True,
                )
        except DATABASE_AWAY:
            return False  # busy: the next look may find it free
        except SiteError as error:
            print(error, flush=True)
        return True


def example_restore() -> bool:
    """Restore the finished example study in the demo's first start, and ask for its archive.

    False if a study was restored before, also one that is deleted by now.
    """
    if AuditEntry.objects.filter(action="study_restored").exists() or not EXAMPLE_ARCHIVE.exists():
        return False
    rosa = User.objects.get(username="rosa")
    with EXAMPLE_ARCHIVE.open("rb") as file:
        study = study_restore(file=file, restored_by=rosa)
    export_request(study=study, content="archive", with_names=False, by=rosa)
    return True
