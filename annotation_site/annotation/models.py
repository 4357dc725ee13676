"""Studies, lists, assignments and annotations."""

import secrets
import uuid
from types import MappingProxyType

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from annotation_site.annotation.crowd.models import CrowdParticipant as CrowdParticipant
from annotation_site.annotation.crowd.models import OpenLink as OpenLink
from annotation_site.corpus.models import Extraction, Vector


def order_key() -> str:
    """Make a study's secret, on which its annotators' orders depend."""
    return secrets.token_hex(16)


class Study(models.Model):
    """A study: lists, rules and people.

    Lists, categories, min_tokens, one-or-several, k and seed are fixed by the first submission;
    guidelines may change, and each submission stores their version.
    """

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        PILOT = "pilot", _("in its pilot phase")
        OPEN = "open", _("open")
        PAUSED = "paused", _("paused")
        CLOSED = "closed", _("closed")
        ARCHIVED = "archived", _("archived")
        DELETING = "deleting", _("being deleted")

    # People can work in these; in a pilot, at its own lists.
    AT_WORK = (State.PILOT, State.OPEN)
    NOT_OPEN = MappingProxyType(
        {
            State.DRAFT: _(
                "This study is a draft. Nothing can be changed in it now; your work so far is kept."
            ),
            State.PILOT: _(
                "This study is in its pilot phase. This list opens after it; your work so far is "
                "kept."
            ),
            State.PAUSED: _(
                "This study is paused. Nothing can be changed in it now; your work so far is kept."
            ),
            State.CLOSED: _(
                "This study is closed. Nothing can be changed in it now; your work so far is kept."
            ),
            State.ARCHIVED: _(
                "This study is archived. Nothing can be changed in it now; your work so far is "
                "kept."
            ),
            State.DELETING: _("This study is being deleted."),
        }
    )

    class OnWithdrawal(models.TextChoices):
        KEEP = "keep", _("keep")
        REMOVE = "remove", _("remove")

    class ListSource(models.TextChoices):
        TOP_TOKENS = "top_tokens", _("top tokens of vectors")
        TRIGGER_PREFIXES = "trigger_prefixes", _("trigger prefixes of keys")

    class GlossRule(models.TextChoices):
        RANKED = "ranked", _("the most frequent sense that fits the token")
        FIRST = "first", _("the first synset, as in the paper")

    slug = models.SlugField(max_length=80, unique=True)
    title = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    # What lists show. Patterns point at ranks of the list, so both kinds are judged by one page.
    list_source = models.CharField(max_length=20, choices=ListSource, default=ListSource.TOP_TOKENS)
    # Whether keys with fewer than 25 trigger prefixes are left out.
    full_lists_only = models.BooleanField(default=False)
    categories = models.JSONField()
    min_tokens = models.PositiveSmallIntegerField(default=4)
    several_patterns_per_token = models.BooleanField(default=False)
    annotators_per_list = models.PositiveSmallIntegerField(default=2)
    # Lists are drawn from these extractions and kinds, by a rule that can draw more later.
    extractions = models.ManyToManyField(Extraction, related_name="+")
    kinds = models.JSONField(default=list, blank=True)
    # The set of vectors that values and keys are drawn from, as it was: see `studies.of_sets`.
    drawn_from = models.JSONField(null=True, blank=True)
    lists_per_layer = models.PositiveIntegerField()
    # Of each person's lists, the share in percent that is shown a second time (purpose repeat).
    repeat_percent = models.PositiveSmallIntegerField(default=0)
    # The mean score against the reference answers, in percent, that opens the queue after
    # training; empty where training is only a record.
    training_pass_percent = models.PositiveSmallIntegerField(null=True, blank=True)
    seed = models.BigIntegerField(default=0)
    order_key = models.CharField(max_length=32, default=order_key, editable=False)
    lease_hours = models.PositiveIntegerField(default=72)
    # An annotator who does nothing for so long is away: their unopened lists go to others.
    idle_days = models.PositiveSmallIntegerField(default=7)
    # Its unopened slots are to be shared again, as a migration left them.
    shares_due = models.BooleanField(default=False, editable=False)
    show_glosses = models.BooleanField(default=True)
    # Studies from before there was a choice keep the paper's rule; a plan has the other default.
    gloss_rule = models.CharField(max_length=10, choices=GlossRule, default=GlossRule.FIRST)
    highlight_spellings = models.BooleanField(default=False)
    # Names of `lists.look_up`; an empty encyclopedia is none.
    search_engine = models.CharField(max_length=20, default="duckduckgo")
    encyclopedia = models.CharField(max_length=20, default="en", blank=True)
    team_may_annotate = models.BooleanField(default=False)
    # The version of the consent text that people are asked to agree to; 0 asks for none.
    consent_version = models.PositiveIntegerField(default=0)
    # What becomes of a person's submitted answers when they withdraw. People agree to it together
    # with the consent text, so it never changes.
    on_withdrawal = models.CharField(max_length=10, choices=OnWithdrawal, default=OnWithdrawal.KEEP)
    # Whether results and lists may be published once the study is closed. People read it beside the
    # consent text, so nobody has agreed to it in a study from before there was a choice.
    may_publish = models.BooleanField(default=False)
    # Whether single annotations may be shared as a data set, under codes. They read this as well.
    may_share = models.BooleanField(default=False)
    # Both are added to the number of revisions, so that no version of the data comes twice. What is
    # removed takes revisions away, and goes from files as well; what else changes tables (other
    # rules, more lists, a surplus answer that gets a place) adds none.
    removals = models.PositiveBigIntegerField(default=0)
    other_changes = models.PositiveBigIntegerField(default=0)
    # Its annotations are those of no people. An archive says so when the study is restored; a
    # trigger of the database refuses every change after that.
    made_up = models.BooleanField(default=False, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "studies"

    def __str__(self) -> str:
        return self.title

    @property
    def shows_glosses(self) -> bool:
        """Whether its lists have glosses; prefixes have none."""
        return self.show_glosses and self.list_source == self.ListSource.TOP_TOKENS

    @property
    def shown_gloss_rule(self) -> str | None:
        """The rule of the glosses that its lists show; None without glosses."""
        return self.gloss_rule if self.shows_glosses else None

    @property
    def not_open(self) -> str:
        """Why nobody can work at a list now, for its annotators; empty while the study is open."""
        return str(self.NOT_OPEN.get(self.State(self.state), ""))


class VersionedText(models.Model):
    """One version of a text of a study, in Markdown. A change is a new version."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="%(class)s")
    version = models.PositiveIntegerField()
    text = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        constraints = (
            models.UniqueConstraint(fields=["study", "version"], name="%(class)s_version_once"),
        )

    def __str__(self) -> str:
        return f"{self.study} v{self.version}"


class Guidelines(VersionedText):
    """A version of a study's guidelines; each submission stores its version."""

    class Meta(VersionedText.Meta):
        verbose_name_plural = "guidelines"


class ConsentText(VersionedText):
    """A version of a study's consent text. An empty text needs no consent."""


class Item(models.Model):
    """A vector's list in a study.

    `use` says what its answers are for. Training, reference and pilot lists are lists that the
    study itself does not hold, so that nobody has seen one before it counts. The reference
    annotation of a training or reference list is its adjudicated one: its assignment of purpose
    adjudication.
    """

    class Use(models.TextChoices):
        STUDY = "study", _("the study")
        TRAINING = "training", _("training")
        REFERENCE = "reference", _("silent reference")
        PILOT = "pilot", _("the pilot")

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="items")
    vector = models.ForeignKey(Vector, on_delete=models.PROTECT, related_name="+")
    use = models.CharField(max_length=10, choices=Use, default=Use.STUDY)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["study", "vector"], name="vector_once_per_study"),
        )

    def __str__(self) -> str:
        return f"{self.study}: {self.vector_id}"


class Membership(models.Model):
    """A person in a study."""

    class Role(models.TextChoices):
        ANNOTATOR = "annotator", _("annotator")
        RESEARCHER = "researcher", _("researcher")

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="memberships"
    )
    role = models.CharField(max_length=20, choices=Role)
    # The consent text that the person agreed to; 0 where the study had none and only the notice
    # about offensive words was read.
    consent_version = models.PositiveIntegerField(null=True)
    consented_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)
    # A researcher took the person out: no more lists for them. What they have begun or submitted
    # stays theirs, and they can be added again.
    removed_at = models.DateTimeField(null=True)
    # A researcher let the person in although training was not passed.
    training_waived_at = models.DateTimeField(null=True)
    # Lists that the person may ever get, those that they had among them; empty where there is no
    # bound.
    most_lists = models.PositiveIntegerField(null=True, blank=True)
    # An annotator who is away (idle for the study's number of days, or released by a researcher)
    # gets no share of the unopened lists until they come back.
    away_since = models.DateTimeField(null=True)
    # Since when they could work, or came back: days of idleness count from here.
    at_work_since = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["study", "user", "role"], name="role_once_per_study"),
        )

    def __str__(self) -> str:
        return f"{self.user} in {self.study}"


class Assignment(models.Model):
    """A list assigned to one person, at a position in that person's order."""

    class Purpose(models.TextChoices):
        TRAINING = "training", _("training")
        ANNOTATION = "annotation", _("annotation")
        REPEAT = "repeat", _("repeat")
        REFERENCE = "reference", _("reference")
        PILOT = "pilot", _("pilot")
        ADJUDICATION = "adjudication", _("adjudication")

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        IN_PROGRESS = "in progress", _("in progress")
        SUBMITTED = "submitted", _("submitted")
        SKIPPED = "skipped", _("skipped")
        EXPIRED = "expired", _("expired")
        WITHDRAWN = "withdrawn", _("withdrawn")  # its person left the study; only the time is kept

    UNFINISHED = (State.WAITING, State.IN_PROGRESS)
    LIVE = (State.WAITING, State.IN_PROGRESS, State.SUBMITTED)  # these hold a place of the list
    # Several are locked in this order: by the alphabet, adjudications before what they score.
    LOCK_ORDER = ("purpose", "pk")

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="assignments")
    membership = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="assignments")
    purpose = models.CharField(max_length=20, choices=Purpose, default=Purpose.ANNOTATION)
    position = models.PositiveIntegerField()
    state = models.CharField(max_length=20, choices=State, default=State.WAITING)
    # Whether the person could see where lists come from when the answer was submitted.
    unblinded = models.BooleanField(default=False)
    # An adjudicated annotation by somebody who had looked at the list's page, with people's names
    # and its origin, before submitting: it is not blind.
    looked_before = models.BooleanField(default=False)
    surplus = models.BooleanField(default=False)  # kept, but the list had its k answers already
    version = models.PositiveIntegerField(default=0)  # submissions so far
    draft = models.JSONField(null=True)
    draft_version = models.PositiveIntegerField(default=0)
    active_seconds = models.PositiveIntegerField(default=0)
    reported_seconds = models.PositiveIntegerField(default=0)  # by the page, last; counted or not
    # Training and reference lists: agreement with the reference answer, 0 to 1, when submitted.
    reference_score = models.FloatField(null=True)
    comment = models.TextField(blank=True)
    skip_reason = models.TextField(blank=True)
    guidelines_version = models.PositiveIntegerField(null=True)
    opened_at = models.DateTimeField(null=True)
    submitted_at = models.DateTimeField(null=True)
    looked_at = models.DateTimeField(null=True)  # first, since the last submission

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["membership", "item", "purpose"], name="one_assignment_per_person"
            ),
            models.UniqueConstraint(
                fields=["membership", "position"], name="position_once_per_person"
            ),
            models.UniqueConstraint(
                fields=["item"],
                condition=Q(purpose="adjudication"),
                name="one_final_answer_per_list",
            ),
        )
        indexes = (models.Index(fields=["item", "purpose", "state"], name="assignment_places"),)

    def __str__(self) -> str:
        return f"{self.membership_id}/{self.position}"


class ListLook(models.Model):
    """A researcher's first look at the page of a list, with people's annotations and its origin.

    An adjudicated annotation that the person submits from then on is marked as not blind.
    """

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="looks")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="list_looks"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["item", "user"], name="first_look_once_per_person"),
        )

    def __str__(self) -> str:
        return f"{self.user_id} at {self.item_id}"


class WorkedDay(models.Model):
    """Active time of a person on one list and day, the basis of pay.

    `active_seconds` is the list's total at the day's last save: an autosave that is repeated
    writes the same, and a day's own time is the difference to the days before. The time is that of
    `membership`, even when somebody else has taken the adjudication over. `cut_seconds` were
    reported on the day and do not count; `cut_reason` is that of the last ones.
    """

    class Cut(models.TextChoices):
        CLOCK = "clock", _("more than the time that passed, all lists of the person together")
        DAY = "day", _("more than can count on one day")
        NOT_OPENED = "not opened", _("for a submitted list that was not opened again")

    assignment = models.ForeignKey(Assignment, on_delete=models.CASCADE, related_name="worked_days")
    membership = models.ForeignKey(Membership, on_delete=models.PROTECT, related_name="worked_days")
    day = models.DateField()  # in UTC
    active_seconds = models.PositiveIntegerField()
    submitted = models.BooleanField(default=False)  # for the first time, on this day
    cut_seconds = models.PositiveIntegerField(default=0)
    cut_reason = models.CharField(max_length=10, choices=Cut, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["assignment", "membership", "day"], name="day_once_per_list_and_person"
            ),
        )
        indexes = (
            models.Index(fields=["membership"], condition=Q(cut_seconds__gt=0), name="cut_days"),
        )

    def __str__(self) -> str:
        return f"{self.assignment_id} on {self.day}"


class TakenTime(models.Model):
    """Moments of a person that already count as work, over all lists: see `worked_time`.

    Locked by every write of the person's, so that two at once take no moment twice.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, primary_key=True, on_delete=models.CASCADE, related_name="+"
    )
    spans = models.JSONField(default=list)
    at = models.DateTimeField(null=True)  # the last report
    day = models.DateField(null=True)  # of the last report, in UTC
    day_seconds = models.PositiveIntegerField(default=0)  # that count on it

    class Meta:
        verbose_name_plural = "taken time"

    def __str__(self) -> str:
        return f"{self.user_id}"


class Pattern(models.Model):
    """A pattern in the last submitted version of an annotation."""

    assignment = models.ForeignKey(Assignment, on_delete=models.CASCADE, related_name="patterns")
    number = models.PositiveSmallIntegerField()
    description = models.TextField(blank=True)
    category = models.CharField(max_length=40)
    stopwords_proposed = models.BooleanField()
    stopwords = models.BooleanField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["assignment", "number"], name="pattern_number_once"),
        )

    def __str__(self) -> str:
        return self.description or f"pattern {self.number}"


MOST_RANKS = 100  # no list is longer; the answer's own list decides more narrowly


class PatternMember(models.Model):
    """One rank of the list that belongs to a pattern."""

    pattern = models.ForeignKey(Pattern, on_delete=models.CASCADE, related_name="members")
    rank = models.PositiveSmallIntegerField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["pattern", "rank"], name="rank_once_per_pattern"),
            models.CheckConstraint(
                condition=Q(rank__gte=1, rank__lte=MOST_RANKS), name="rank_within_list"
            ),
        )

    def __str__(self) -> str:
        return str(self.rank)


class Revision(models.Model):
    """A submission or a skip: written once, never changed.

    `key` is the client's idempotency key: the same key again is the same submission.
    """

    assignment = models.ForeignKey(Assignment, on_delete=models.CASCADE, related_name="revisions")
    version = models.PositiveIntegerField()
    key = models.UUIDField()
    snapshot = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["assignment", "key"], name="submission_once_per_key"),
            models.UniqueConstraint(fields=["assignment", "version"], name="revision_version_once"),
        )

    def __str__(self) -> str:
        return f"{self.assignment_id} v{self.version}"
