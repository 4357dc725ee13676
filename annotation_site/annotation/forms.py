"""Forms of studies: rules, people, texts, extension, copy."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from annotation_site.accounts.models import Role, User
from annotation_site.annotation.lists.look_up import EDITIONS, NO_ENCYCLOPEDIA, SEARCH_ENGINES
from annotation_site.annotation.lists.nouns import nouns_of
from annotation_site.annotation.models import Membership, Study
from annotation_site.annotation.studies import rule_words
from annotation_site.annotation.studies.of_sets import drawn_from
from annotation_site.annotation.studies.plans import (
    EVERY_CATEGORY,
    NUMBERS,
    PROTOCOLS,
    WORD_LEVEL,
    StudyPlan,
)
from annotation_site.annotation.studies.rule_words import Values
from annotation_site.bounds import MARKDOWN, TITLE
from annotation_site.corpus.models import USUAL_KINDS, Extraction
from annotation_site.corpus.selectors import extractions_ready, kinds_offered
from annotation_site.corpus.vector_sets import vector_sets
from annotation_site.exact_words import ATTRIBUTES, NamesSelect

AS_IT_WAS = "as-it-was"
"""The choice of the vectors that a study has stored of a set."""
MOST = 2**31 - 1  # the largest version that the database holds


def _number(name: str, help_text: Any = "", **changes: Any) -> forms.IntegerField:
    """A field for a number of a plan, within the plan's bounds."""
    label, least, most = NUMBERS[name]
    default = StudyPlan.__dataclass_fields__[name].default
    return forms.IntegerField(
        **{
            "label": label,
            "min_value": least,
            "max_value": most,
            "initial": default,
            "help_text": help_text,
            **changes,
        }
    )


class _MarkdownField(forms.CharField):
    """A text in Markdown. Browsers send two characters for each line's end, and count one."""

    def __init__(self, *, rows: int, **options: Any) -> None:
        widget = forms.Textarea(attrs={"rows": rows})
        super().__init__(max_length=MARKDOWN, required=False, widget=widget, **options)

    def to_python(self, value: Any) -> str:
        return "\n".join(str(super().to_python(value)).splitlines())


class _ExtractionsField(forms.ModelMultipleChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        """The title, which says what sets the extraction apart, with the number of lists."""
        lists = obj.counts.get("vectors")
        if not lists:
            return str(obj)
        said = ngettext("%(model)s: %(n)s list", "%(model)s: %(n)s lists", lists)
        return said % {"model": obj, "n": f"{lists:,}"}


@dataclass(frozen=True)
class FieldGroup:
    """Fields that are folded under a heading; the sentence says their values."""

    name: str
    heading: Any
    fields: list[forms.BoundField]
    sentence: str
    is_open: bool


class RulesForm(forms.Form):
    """The rules of a StudyPlan, without people and texts."""

    title = forms.CharField(label=_("Title"), max_length=TITLE)
    extractions = _ExtractionsField(
        label=_("Models"),
        queryset=None,
        widget=forms.CheckboxSelectMultiple(attrs=ATTRIBUTES),
        help_text=_("Annotators judge the lists of these models. Tables compare several models."),
    )
    list_source = forms.ChoiceField(
        label=_("What lists show"),
        choices=Study.ListSource.choices,
        initial=Study.ListSource.TOP_TOKENS,
        widget=forms.RadioSelect,
        help_text=_(
            "Top tokens say what a vector promotes. Trigger prefixes are the beginnings of "
            "sentences that activate a key most, each up to the token at which it does."
        ),
    )
    # What the kinds, categories and numbers below were chosen for: they follow `list_source`.
    follows = forms.ChoiceField(
        choices=Study.ListSource.choices, required=False, widget=forms.HiddenInput
    )
    full_lists_only = forms.BooleanField(
        label=_("Leave out short lists"),
        required=False,
        help_text=_(
            "A key that is active in fewer than 25 sentences has a shorter list. Keys that are "
            "never active have none."
        ),
    )
    kinds = forms.MultipleChoiceField(
        label=_("Kinds"),
        initial=USUAL_KINDS,
        widget=forms.CheckboxSelectMultiple,
    )
    vector_set = forms.ChoiceField(
        label=_("Only vectors of a set"),
        required=False,
        widget=NamesSelect,
        help_text=_(
            "Values and keys are drawn from the set as it is now; other kinds, such as random "
            "vectors, as ever. Layers without a vector of the set give no lists of these kinds."
        ),
    )
    lists_per_layer = _number(
        "lists_per_layer", _("Drawn from each model. You can add more later.")
    )
    seed = _number("seed", _("Decides which lists are drawn and who gets which."))
    annotators_per_list = _number("annotators_per_list")
    lease_hours = _number(
        "lease_hours", _("Then somebody else gets it. The first person keeps what they typed.")
    )
    idle_days = _number(
        "idle_days",
        _("Then others get what this person has not opened. Coming back brings a share again."),
        required=False,
    )
    team_may_annotate = forms.BooleanField(
        label=_("People who run the study may annotate too"),
        required=False,
        help_text=_("They see where lists come from, so tables leave their annotations out."),
    )
    categories = forms.MultipleChoiceField(
        label=_("Categories"),
        choices=[(name, name) for name in EVERY_CATEGORY],
        initial=["semantic", "syntactic"],
        widget=forms.CheckboxSelectMultiple(attrs=ATTRIBUTES),
    )
    min_tokens = _number("min_tokens", _("A pattern with fewer tokens does not count in results."))
    several_patterns_per_token = forms.BooleanField(
        label=_("A token may be in several patterns"), required=False
    )
    show_glosses = forms.BooleanField(
        label=_("Show glosses beside tokens"),
        required=False,
        initial=True,
        help_text=_("Short descriptions in English, from WordNet and, where asked for, Wikipedia."),
    )
    gloss_rule = forms.ChoiceField(
        label=_("Gloss of a word that WordNet knows"),
        choices=Study.GlossRule.choices,
        initial=StudyPlan.gloss_rule,
        widget=forms.RadioSelect,
        help_text=_(
            "The first synset is often the wrong sense, above all for function words. By "
            "frequency, these have no gloss, and the current token shows up to four senses."
        ),
    )
    highlight_spellings = forms.BooleanField(
        label=_("Underline tokens spelled like the current one"),
        required=False,
        help_text=_("Shows plurals and word families. The paper’s annotators had no such help."),
    )
    search_engine = forms.ChoiceField(
        label=_("Search engine"),
        choices=[(name, engine) for name, (engine, _address) in SEARCH_ENGINES.items()],
        initial=StudyPlan.search_engine,
        widget=forms.Select(attrs=ATTRIBUTES),
        help_text=_("Where annotators look words up. Only their click or key opens the link."),
    )
    encyclopedia = forms.ChoiceField(
        label=_("Encyclopedia"),
        choices=[
            (NO_ENCYCLOPEDIA, _("none")),
            *((edition, f"{edition}.wikipedia.org") for edition in EDITIONS),
        ],
        initial=StudyPlan.encyclopedia,
        required=False,
        widget=NamesSelect,
        help_text=_("Wikipedia in the language of the tokens."),
    )
    training_lists = _number(
        "training_lists",
        _("Every annotator gets these first and sees yours after each. They count in no table."),
    )
    training_pass_percent = forms.IntegerField(
        label=_("Score that passes training, in percent"),
        min_value=0,
        max_value=100,
        required=False,
        help_text=_("Overlap with your annotations. Empty means that everybody passes."),
    )
    reference_lists = _number(
        "reference_lists",
        _(
            "Every annotator gets these unmarked among the others. You see how far their "
            "annotations overlap with yours."
        ),
    )
    repeat_percent = _number(
        "repeat_percent",
        _("Share of each person’s lists that they get a second time, to measure consistency."),
    )
    pilot_lists = _number(
        "pilot_lists",
        _("Every annotator gets these in a pilot. They never count in the study’s tables."),
    )
    on_withdrawal = forms.ChoiceField(
        label=_("When somebody withdraws, their submitted annotations are"),
        choices=[
            (Study.OnWithdrawal.KEEP, _("kept, under a code instead of a name")),
            (Study.OnWithdrawal.REMOVE, _("removed, and other people get their lists")),
        ],
        initial=Study.OnWithdrawal.KEEP,
        widget=forms.RadioSelect,
        help_text=_(
            "This cannot be changed after somebody has agreed to it. Anybody can withdraw at any "
            "time."
        ),
    )
    may_publish = forms.BooleanField(
        label=_("Results and lists may be published"),
        required=False,
        help_text=_(
            "Once the study is closed, you can make a page of it that everybody can read: numbers, "
            "figures, guidelines, and the lists with what people called them; never names, times "
            "or comments. Annotators read this before they start, so it cannot be changed later."
        ),
    )
    may_share = forms.BooleanField(
        label=_("Individual annotations may be shared as a data set"),
        required=False,
        help_text=_(
            "Once the study is closed, you can write a folder that others can load: every "
            "annotation with its descriptions, under codes that mean nothing elsewhere; never "
            "names, and times of work and comments only where you add them. Annotators read this "
            "before they start, so it cannot be changed later."
        ),
    )

    # What every study decides, in sight; the rest is folded, with its values in a sentence.
    USUAL = (
        "title",
        "list_source",
        "extractions",
        "lists_per_layer",
        "annotators",
        "annotators_per_list",
    )
    GROUPS: tuple[tuple[str, Any, tuple[str, ...], Callable[[Values], str]], ...] = (
        (
            "kinds", _("Kinds and seed"),
            ("follows", "kinds", "vector_set", "full_lists_only", "seed"),
            rule_words.kinds_words,
        ),
        (
            "patterns", _("Patterns"),
            ("categories", "min_tokens", "several_patterns_per_token"), rule_words.pattern_words,
        ),
        (
            "glosses", _("Glosses and help"),
            (
                "show_glosses", "gloss_rule", "highlight_spellings", "search_engine",
                "encyclopedia",
            ),
            rule_words.gloss_words,
        ),
        (
            "checks", _("Training and checks"),
            (
                "training_lists", "training_pass_percent", "reference_lists", "repeat_percent",
                "pilot_lists",
            ),
            rule_words.check_words,
        ),
        ("time", _("Time"), ("lease_hours", "idle_days"), rule_words.time_words),
        ("researchers", _("Researchers"), ("team_may_annotate",), rule_words.researcher_words),
        ("texts", _("Texts"), ("guidelines", "consent"), rule_words.text_words),
        ("withdrawal", _("Withdrawal"), ("on_withdrawal",), rule_words.withdrawal_words),
        (
            "publication", _("Publication"), ("may_publish", "may_share"),
            rule_words.publication_words,
        ),
    )  # fmt: skip

    def __init__(self, data: QueryDict | None = None, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        ready = extractions_ready()
        self.has_prefixes = ready.filter(trigger_prefixes__isnull=False).exists()
        self.source = self._source()
        self.is_switched = self._follow()
        self._offer_sets()
        self._suit(self.source, ready)
        only = list(ready[:2])
        if len(only) == 1:  # then there is nothing to choose
            self.fields["extractions"].initial = only

    def _source(self) -> str:
        """The chosen kind of list; top tokens where there is nothing to choose."""
        default = self.initial.get("list_source", Study.ListSource.TOP_TOKENS)
        chosen = self.data.get("list_source", default) if self.is_bound else default
        return str(chosen) if chosen in PROTOCOLS else str(Study.ListSource.TOP_TOKENS)

    def _follow(self) -> bool:
        """Whether lists show another thing than before: what depends on it has its defaults now."""
        if not self.is_bound or self.data.get("follows", self.source) == self.source:
            return False
        given: Any = self.data
        data = given.copy()
        for name, value in PROTOCOLS[self.source].defaults.items():
            if isinstance(value, bool):
                data.setlist(name, ["on"] if value else [])
            else:
                data.setlist(name, list(value) if isinstance(value, tuple) else [value])
        data["follows"] = self.source
        self.data = data
        return True

    def _suit(self, source: str, ready: QuerySet[Extraction]) -> None:
        """Give the fields the choices and words of what lists show."""
        protocol, nouns = PROTOCOLS[source], nouns_of(source)
        fields: dict[str, Any] = self.fields
        fields["extractions"].queryset = ready
        fields["follows"].initial = source
        self.initial.pop("follows", None)
        fields["kinds"].choices = [
            (kind, words) for kind, words in kinds_offered(ready) if kind in protocol.every_kind
        ]
        fields["kinds"].initial = protocol.kinds
        has_names = ready.filter(model__vocabulary=WORD_LEVEL).exists()
        categories = [c for c in protocol.every_category if c != "names" or has_names]
        fields["categories"].choices = [(name, name) for name in categories]
        fields["categories"].initial = protocol.categories
        if has_names and "names" in categories:
            fields["categories"].help_text = _("Names need a model of whole words.")
        fields["min_tokens"].initial = protocol.min_tokens
        fields["several_patterns_per_token"].initial = protocol.several_patterns_per_token
        if not self.has_prefixes and source == Study.ListSource.TOP_TOKENS:
            del fields["list_source"], fields["follows"]  # nothing to choose
        if not nouns.is_prefix:
            del fields["full_lists_only"]
            return
        del fields["show_glosses"], fields["gloss_rule"]
        fields["min_tokens"].label = _("Minimum prefixes")
        fields["min_tokens"].help_text = _(
            "A pattern with fewer prefixes does not count in results."
        )
        fields["several_patterns_per_token"].label = _("A prefix may be in several patterns")
        fields["highlight_spellings"].label = _("Underline endings like the current one")
        fields["highlight_spellings"].help_text = _(
            "Shows prefixes with an equal or a similar last token. The paper’s annotators had no "
            "such help."
        )
        fields["encyclopedia"].help_text = _("Wikipedia in the language of the prefixes.")

    def _offer_sets(self) -> None:
        """The sets to draw from, and the one that the study was made of, as it was."""
        stored = self.initial.get("drawn_from")
        field: Any = self.fields["vector_set"]
        sets = [(str(one.public_id), str(one)) for one in vector_sets().defer("members")]
        asked = self.data.get("vector_set") if self.is_bound else ""  # deleted meanwhile
        if not sets and stored is None and not asked:
            del self.fields["vector_set"]  # nothing to choose
            return
        as_it_was = []
        if stored is not None:
            said = _("%(set)s, as it was: %(n)s vectors") % {
                "set": stored["title"],
                "n": f"{len(stored['places']):,}",
            }
            as_it_was = [(AS_IT_WAS, said)]
            self.initial["vector_set"] = AS_IT_WAS
        field.choices = [("", _("all vectors")), *as_it_was, *sets]

    def _drawn_from(self, chosen: str) -> Any:
        """The stored form of a chosen set; None for all vectors."""
        if chosen == AS_IT_WAS:
            return self.initial["drawn_from"]
        found = vector_sets().filter(public_id=chosen).first() if chosen else None
        return drawn_from(found) if found else None

    @property
    def usual(self) -> list[forms.BoundField]:
        """The fields that stand open."""
        return [self[name] for name in self.USUAL if name in self.fields]

    @property
    def groups(self) -> list[FieldGroup]:
        """The folded fields, as far as this form has them; a group with an error is open."""
        found = []
        for name, heading, names, words in self.GROUPS:
            fields = [self[field] for field in names if field in self.fields]
            if fields:
                values = {field.name: self._value(field) for field in fields}
                values["list_source"] = self.source
                if values.get("vector_set"):
                    choices = dict(self.fields["vector_set"].choices)  # type: ignore[attr-defined]
                    values["set"] = str(choices.get(values["vector_set"], ""))
                is_open = any(field.errors for field in fields)
                found.append(FieldGroup(name, heading, fields, words(values), is_open))
        return found

    def _value(self, bound: forms.BoundField) -> Any:
        """The present value of a field; the initial one where the present one is invalid."""
        if not self.is_bound:
            return bound.initial
        try:
            return bound.field.clean(bound.data)
        except forms.ValidationError:
            return bound.initial

    def plan_so_far(self, base: StudyPlan | None = None) -> StudyPlan | None:
        """A plan to preview: it needs no title yet. None where another field is missing or wrong.

        Of a form that nobody filled in, the base, or else the plan of its first values.
        """
        named: dict[str, Any] = {"title": str(_("New study"))}
        if self.is_bound:
            wrong = set(self.errors) - {"title"}
            return None if wrong else self.plan(base, **(named if "title" in self.errors else {}))
        only = self.initial.get("extractions") or self.fields["extractions"].initial
        if not base and only and "vector_set" in self.fields:
            named["drawn_from"] = self._drawn_from(self.initial.get("vector_set", ""))
        return base or (StudyPlan(extractions=only, **named) if only else None)

    def plan(self, base: StudyPlan | None = None, **more: Any) -> StudyPlan:
        """The plan of a valid form; missing fields come from the base, or from `more`."""
        if "vector_set" in self.fields:
            more["drawn_from"] = self._drawn_from(self.cleaned_data["vector_set"])
        data: dict[str, Any] = {
            name: list(value) if isinstance(value, QuerySet) else value
            for name, value in self.cleaned_data.items()
            if name not in ("follows", "vector_set")
            and not (name == "idle_days" and value is None)  # empty: as it is, or the default
        }
        return replace(base, **more, **data) if base else StudyPlan(**more, **data)


class StudyForm(RulesForm):
    """A whole StudyPlan."""

    annotators: forms.ModelMultipleChoiceField = forms.ModelMultipleChoiceField(
        label=_("Annotators"),
        queryset=None,
        widget=forms.CheckboxSelectMultiple(attrs=ATTRIBUTES),
        required=False,
        help_text=_("You can invite more people later."),
    )
    guidelines = _MarkdownField(
        label=_("Guidelines"),
        rows=8,
        help_text=_("Markdown. Empty means the paper’s protocol."),
    )
    consent = _MarkdownField(
        label=_("Consent text"),
        rows=6,
        help_text=_(
            "Markdown. Annotators agree to it before their first list and after each change. Empty "
            "means that they only read that lists can contain offensive words."
        ),
    )

    def __init__(self, data: QueryDict | None = None, *, by: User, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        people = User.objects.filter(
            Q(role=Role.ANNOTATOR) | Q(pk=by.pk), is_active=True, is_crowd=False
        )
        self.fields["annotators"].queryset = people.order_by("username")  # type: ignore[attr-defined]


class FixedRulesForm(RulesForm):
    """The fields that can change after the first annotation that counts."""

    def __init__(self, data: QueryDict | None = None, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        self.fields = {name: self.fields[name] for name in ("title", "lease_hours", "idle_days")}


class ExtensionForm(forms.Form):
    """More lists for a study."""

    lists_per_layer = _number("lists_per_layer", initial=None)

    def __init__(self, *args: Any, study: Study, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.auto_id = "more_%s"  # the rules stand on the same page
        self.fields["lists_per_layer"].widget.attrs["min"] = study.lists_per_layer + 1
        self.fields["lists_per_layer"].initial = study.lists_per_layer + 1


class CopyForm(forms.Form):
    """A copy of a study."""

    title = forms.CharField(label=_("Title of the copy"), max_length=TITLE)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.auto_id = "copy_%s"  # the rules stand on the same page


class AnnotatorForm(forms.Form):
    """Annotators to add to a study."""

    person: forms.ModelMultipleChoiceField = forms.ModelMultipleChoiceField(
        queryset=None,
        label=_("People"),
        to_field_name="public_id",
        widget=forms.CheckboxSelectMultiple(attrs=ATTRIBUTES),
        error_messages={"required": _("Choose at least one person, then press “Add”.")},
    )

    def __init__(self, *args: Any, study: Study, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        roles = study.memberships.filter(removed_at=None)
        inside = roles.filter(role=Membership.Role.ANNOTATOR).values("user")
        runs_it = roles.filter(role=Membership.Role.RESEARCHER).values("user")
        who = Q(role=Role.ANNOTATOR, is_crowd=False)
        if study.team_may_annotate:
            who |= Q(pk__in=runs_it)
        else:
            who &= ~Q(pk__in=runs_it)
        people = User.objects.filter(who, is_active=True).exclude(pk__in=inside)
        self.fields["person"].queryset = people.order_by("username")  # type: ignore[attr-defined]


class TextsForm(forms.Form):
    """The texts of a study, which may change while people annotate."""

    guidelines = _MarkdownField(
        label=_("Guidelines"),
        rows=14,
        help_text=_("Markdown. Each submission records the version that the annotator read."),
    )
    consent = _MarkdownField(
        label=_("Consent text"),
        rows=10,
        help_text=_(
            "Markdown. Annotators agree to it before their first list and after each change. Empty "
            "means that nothing is asked."
        ),
    )
    guidelines_base = forms.IntegerField(min_value=0, max_value=MOST, widget=forms.HiddenInput)
    consent_base = forms.IntegerField(min_value=0, max_value=MOST, widget=forms.HiddenInput)
