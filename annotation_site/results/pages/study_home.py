"""A study's home: state, total, people and pages with a line of live state each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation_site.annotation.models import Study
from annotation_site.annotation.monitoring.progress import StudyProgress, study_progress
from annotation_site.annotation.selectors import texts_of
from annotation_site.annotation.studies.plans import is_frozen
from annotation_site.corpus.models import Kind
from annotation_site.results.models import ExportJob
from annotation_site.results.pages.attention import Row, attention_of
from annotation_site.results.pages.study_facts import PersonFacts, StudyFacts, study_facts
from annotation_site.results.pages.summary import Summary, summary_of

WHOLE = 1000  # a bar's length; its parts are whole numbers


@dataclass(frozen=True)
class Bar:
    """Parts of the true total, in thousandths: submitted, opened and, of a person, unopened."""

    done: int
    opened: int
    unopened: int

    @classmethod
    def of(cls, total: int, *, done: int, opened: int = 0, unopened: int = 0) -> "Bar":
        """A bar of a total; what there is of a part is never invisible."""

        def share(n: int) -> int:
            return min(WHOLE, max(1, round(WHOLE * n / total))) if n and total else 0

        return cls(share(done), share(opened), share(unopened))

    @property
    def opened_from(self) -> int:
        return self.done

    @property
    def unopened_from(self) -> int:
        return self.done + self.opened


@dataclass(frozen=True)
class HomePerson:
    """An annotator's row: a share of all slots."""

    facts: PersonFacts
    bar: Bar
    skipped: int
    median_seconds: float | None
    is_away: str


@dataclass(frozen=True)
class PageLink:
    """A page of the study with its live state in a line."""

    title: str
    line: str
    url: str


def study_home(study: Study) -> dict[str, Any]:
    """All that a study's home shows; the queries do not grow with its people or lists."""
    now = timezone.now()
    (facts,) = study_facts([study], now=now)
    progress = study_progress(study)
    left = facts.slots - facts.done
    median = progress.median_seconds
    return {
        "study": study,
        "facts": facts,
        "bar": Bar.of(facts.slots, done=facts.done, opened=facts.opened),
        "left": left,
        "left_seconds": left * median if median is not None else None,
        "median_seconds": median,
        "annotated": [(n, lists) for n, lists in progress.annotated if lists or not n],
        "rows": attention_of(facts, now=now),
        "people": _people(facts, progress),
        "groups": _groups(facts, summary_of(study)),
        "pilot": facts.pilot_lists,
    }


def home_studies(studies: Sequence[Study]) -> list[tuple[StudyFacts, Bar, list[Row]]]:
    """The researcher's studies, each with its bar and what it asks for."""
    now = timezone.now()
    return [
        (
            facts,
            Bar.of(facts.slots, done=facts.done, opened=facts.opened),
            attention_of(facts, now=now),
        )
        for facts in study_facts(studies, now=now)
    ]


def _people(facts: StudyFacts, progress: StudyProgress) -> list[HomePerson]:
    by_member = {person.membership.pk: person for person in progress.people}
    found = []
    for person in facts.people:
        row = by_member.get(person.membership.pk)
        if row is None:  # joined between two queries
            continue
        bar = Bar.of(facts.slots, done=person.done, opened=person.opened, unopened=person.unopened)
        found.append(
            HomePerson(person, bar, row.work.skipped, row.work.median_seconds, row.is_away)
        )
    return found


def _groups(facts: StudyFacts, summary: Summary | None) -> list[tuple[str, list[PageLink]]]:
    """The study's pages in four groups."""
    slug = facts.study.slug

    def page(title: str, line: str, name: str, anchor: str = "") -> PageLink:
        return PageLink(title, line, reverse(name, args=[slug]) + anchor)

    return [
        (
            _("Look"),
            [
                page(_("Results"), _results_line(summary), "results:results"),
                page(_("Lists"), _lists_line(facts), "results:lists"),
                page(_("Progress"), _("By person and by list, live"), "annotation:run"),
            ],
        ),
        (
            _("Decide"),
            [
                page(_("Adjudication"), _adjudication_line(facts), "results:adjudication"),
                page(
                    _("Reference annotations"), _references_line(facts), "annotation:references"
                ),
            ],
        ),
        (
            _("Set up"),
            [
                page(_("Annotators"), _annotators_line(facts), "annotation:people"),
                page(
                    _("Machine annotators"), _("Programs, and language models in runs"),
                    "machine_annotators:listed",
                ),
                page(_("Open links"), _open_links_line(facts.study), "annotation:open_links"),
                page(_("Rules"), _rules_line(facts.study), "annotation:rules"),
                page(_("Texts"), _texts_line(facts.study), "annotation:texts"),
            ],
        ),
        (
            _("Take away"),
            [
                page(_("Exports"), _exports_line(facts.study), "results:exports"),
                page(_("Data set"), _data_set_line(facts.study), "data_sets:data_set"),
                page(_("Public page"), _public_line(facts.study), "public:publish"),
                page(
                    _("Copy this study"), _("The same rules, a new draft"), "annotation:rules",
                    "#copy",
                ),
            ],
        ),
    ]  # fmt: skip


def _results_line(summary: Summary | None) -> str:
    if summary is None:
        return _("None before the first annotation")
    wanted = {
        Kind.VALUE: _("value vectors %(n)s"),
        Kind.RANDOM: _("random vectors %(n)s"),
        Kind.KEY: _("keys %(n)s"),
        Kind.RANDOM_KEY: _("random keys %(n)s"),
    }
    first: dict[str, float] = {}
    for row in summary.coverage:  # of several models, the first
        if row["coverage"] is not None:
            first.setdefault(row["kind"], row["coverage"])
    parts = [words % {"n": f"{first[kind]:.1%}"} for kind, words in wanted.items() if kind in first]
    if not parts:
        return _("Computed, without coverage yet")
    return _("Coverage: %(kinds)s") % {"kinds": ", ".join(parts)}


def _lists_line(facts: StudyFacts) -> str:
    said = ngettext("%(n)s list of the study", "%(n)s lists of the study", facts.lists)
    return said % {"n": f"{facts.lists:,}"}


def _adjudication_line(facts: StudyFacts) -> str:
    if not facts.adjudicable and not facts.adjudicated:
        return _("No list has two annotations yet")
    return _("%(waiting)s waiting, %(done)s done") % {
        "waiting": f"{facts.undecided:,}",
        "done": f"{facts.adjudicated:,}",
    }


def _references_line(facts: StudyFacts) -> str:
    if not facts.references:
        return _("None needed: no training or reference lists")
    return _("%(n)s of %(total)s written") % {
        "n": f"{facts.references_written:,}",
        "total": f"{facts.references:,}",
    }


def _annotators_line(facts: StudyFacts) -> str:
    said = ngettext("%(n)s can annotate", "%(n)s can annotate", facts.at_work)
    people = said % {"n": f"{facts.at_work:,}"}
    invitations = facts.study.invitations.filter(
        revoked_at=None, expires_at__gt=timezone.now(), uses__lt=F("uses_allowed")
    ).count()
    if not invitations:
        return people
    opened = ngettext(
        "%(people)s, %(n)s invitation open", "%(people)s, %(n)s invitations open", invitations
    )
    return opened % {"people": people, "n": f"{invitations:,}"}


def _open_links_line(study: Study) -> str:
    is_open = Q(closed_at=None, ends_at__gt=timezone.now())
    links = study.open_links.aggregate(n=Count("pk"), opened=Count("pk", filter=is_open))
    if not links["n"]:
        return _("No link yet")
    return _("%(n)s of %(total)s open") % {"n": links["opened"], "total": links["n"]}


def _rules_line(study: Study) -> str:
    if is_frozen(study):
        return _("Fixed since the first annotation")
    return _("Can change until the first annotation")


def _texts_line(study: Study) -> str:
    texts = texts_of(study)
    consent = _("a consent text") if texts["consent"] else _("no consent text")
    return _("Guidelines version %(version)s, %(consent)s") % {
        "version": texts["guidelines_base"],
        "consent": consent,
    }


def _public_line(study: Study) -> str:
    if not study.may_publish:
        return _("Its rules do not allow it")
    if study.state not in (Study.State.CLOSED, Study.State.ARCHIVED):
        return _("Possible once the study is closed")
    return _("What everybody can read")


def _data_set_line(study: Study) -> str:
    if not study.may_share:
        return _("Its rules do not allow it")
    if study.state not in (Study.State.CLOSED, Study.State.ARCHIVED):
        return _("Possible once the study is closed")
    return _("A folder that others can load")


def _exports_line(study: Study) -> str:
    newest = (
        ExportJob.objects.filter(study=study, state=ExportJob.State.READY)
        .order_by("-finished_at")
        .values_list("finished_at", flat=True)
        .first()
    )
    if newest is None:
        return _("No file yet")
    day = date_format(timezone.localtime(newest), "j M Y")
    return _("Newest file: %(day)s") % {"day": day}
