"""Study plans: a researcher's choices, and checks that they can work."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from annotation_site.accounts.models import User
from annotation_site.analysis.paper import PREFIXES_SHOWN
from annotation_site.annotation.allocation.slots import annotators_of
from annotation_site.annotation.lists.look_up import EDITIONS, NO_ENCYCLOPEDIA, SEARCH_ENGINES
from annotation_site.annotation.models import Assignment, Item, Study
from annotation_site.annotation.selectors import texts_of
from annotation_site.annotation.studies.of_sets import DrawnFrom, set_check
from annotation_site.bounds import TITLE
from annotation_site.corpus.models import KEY_KINDS, USUAL_KINDS, Extraction, Kind
from annotation_site.corpus.selectors import lacks_senses
from annotation_site.errors import Invalid

Source = Study.ListSource
DEFAULT_GUIDELINES = """\
Read the 30 tokens and look for **patterns**: several tokens that belong together.

- A *semantic* pattern shares a meaning: animals, measurement units, time words.
- A *syntactic* pattern shares a form: plurals, past-tense verbs, words that start with “dis-”.
- *Names* are names of people, places or organisations, where your study asks for them.

Give every token of a pattern the same number, describe the pattern in a few words, and choose \
its category. A pattern needs at least {min_tokens} tokens to count. Most lists have one or two \
patterns; if a list has none, say so: that is a full annotation. You may look words up on the web. \
Switch page translation off in your browser: you judge the words as they are written.

Set the **stopwords** flag where a pattern is only function words (the, of, and) or punctuation. \
The page proposes it; you decide.
"""
PREFIX_GUIDELINES = """\
Read the beginnings of sentences and look for **patterns**: several that belong together. One part \
of a language model responds to all of them, at their last token, which is marked.

- A *shallow* pattern shares a form: the same last word, the same last words, the same ending.
- A *semantic* pattern shares a meaning: sentences about one topic, or about things of one kind.

Give every prefix of a pattern the same number, describe the pattern in a few words, and choose \
its category. A pattern needs at least {min_tokens} prefixes to count. A prefix can belong to \
several patterns. If a list has no pattern, say so: that is a full annotation. A prefix can end \
inside a word, and a list can have fewer than 25. Switch page translation off in your browser: you \
judge the words as they are written.
"""


@dataclass(frozen=True)
class Protocol:
    """The choices and defaults of a study of one kind of list."""

    every_kind: tuple[str, ...]
    kinds: tuple[str, ...]
    every_category: tuple[str, ...]
    categories: tuple[str, ...]
    min_tokens: int
    several_patterns_per_token: bool
    guidelines: str

    @property
    def defaults(self) -> dict[str, object]:
        """Fields of a StudyPlan."""
        names = ("kinds", "categories", "min_tokens", "several_patterns_per_token")
        return {name: getattr(self, name) for name in names}


PROTOCOLS = {
    # Geva et al. 2022, appendix A.2.
    Source.TOP_TOKENS.value: Protocol(
        every_kind=tuple(Kind.values),
        kinds=USUAL_KINDS,
        every_category=("semantic", "syntactic", "names"),
        categories=("semantic", "syntactic"),
        min_tokens=4,
        several_patterns_per_token=False,
        guidelines=DEFAULT_GUIDELINES,
    ),
    # Geva et al. 2021, section 3.1.
    Source.TRIGGER_PREFIXES.value: Protocol(
        every_kind=KEY_KINDS,
        kinds=KEY_KINDS,
        every_category=("shallow", "semantic"),
        categories=("shallow", "semantic"),
        min_tokens=3,
        several_patterns_per_token=True,
        guidelines=PREFIX_GUIDELINES,
    ),
}
EVERY_CATEGORY = tuple(
    dict.fromkeys(name for protocol in PROTOCOLS.values() for name in protocol.every_category)
)
WORD_LEVEL = "word"
# What is chosen as a number: what it is called, the least and the most.
NUMBERS = {
    "lists_per_layer": (gettext_lazy("Lists per layer and kind"), 1, 100_000),
    "annotators_per_list": (gettext_lazy("Annotators per list"), 1, 100),
    "min_tokens": (gettext_lazy("Minimum tokens"), 1, 30),
    "training_lists": (gettext_lazy("Training lists"), 0, 100),
    "reference_lists": (gettext_lazy("Silent reference lists"), 0, 1000),
    "pilot_lists": (gettext_lazy("Pilot lists"), 0, 1000),
    "repeat_percent": (gettext_lazy("Repeated lists, in percent"), 0, 100),
    "lease_hours": (gettext_lazy("Hours that an opened list is kept"), 1, 8760),
    "idle_days": (gettext_lazy("Days without work until lists go to others"), 1, 365),
    "seed": (gettext_lazy("Seed"), 0, 2**63 - 1),
}


@dataclass(frozen=True)
class Remedy:
    """A refusal or a shortage, said at a field of the plan, with a value that works.

    `button` chooses the value; both are empty where only the person can choose.
    """

    field: str
    sentence: str
    value: str = ""
    button: str = ""


class Unfit(Invalid):
    """A rule that cannot work, with its field and, where there is one, the value that can."""

    def __init__(self, remedy: Remedy) -> None:
        super().__init__(remedy.sentence)
        self.remedy = remedy


@dataclass(frozen=True)
class StudyPlan:
    """A researcher's choices for a study.

    `training_lists`, `reference_lists` and `pilot_lists` are numbers of lists that the study holds
    beside its own.
    """

    title: str
    extractions: Sequence[Extraction]
    annotators: Sequence[User] = ()
    list_source: str = Source.TOP_TOKENS
    full_lists_only: bool = False
    kinds: Sequence[str] = USUAL_KINDS
    drawn_from: DrawnFrom | None = None
    lists_per_layer: int = 10
    annotators_per_list: int = 2
    categories: Sequence[str] = ("semantic", "syntactic")
    min_tokens: int = 4
    several_patterns_per_token: bool = False
    training_lists: int = 0
    training_pass_percent: int | None = None
    reference_lists: int = 0
    repeat_percent: int = 0
    pilot_lists: int = 0
    lease_hours: int = 72
    idle_days: int = 7
    show_glosses: bool = True
    gloss_rule: str = Study.GlossRule.RANKED
    highlight_spellings: bool = False
    search_engine: str = "duckduckgo"
    encyclopedia: str = "en"
    seed: int = 0
    team_may_annotate: bool = False
    guidelines: str = ""
    consent: str = ""
    on_withdrawal: str = Study.OnWithdrawal.KEEP
    may_publish: bool = False
    may_share: bool = False

    @property
    def protocol(self) -> Protocol:
        """The protocol of its kind of list. The source is a known one."""
        return PROTOCOLS[self.list_source]

    @property
    def others(self) -> dict[str, int]:
        """Numbers of training, reference and pilot lists, beside the study's own."""
        return {
            Item.Use.TRAINING: self.training_lists,
            Item.Use.REFERENCE: self.reference_lists,
            Item.Use.PILOT: self.pilot_lists,
        }


# Fields of a plan that a study stores under the same name.
STORED = (
    "list_source", "full_lists_only", "drawn_from", "lists_per_layer", "annotators_per_list",
    "min_tokens", "several_patterns_per_token", "training_pass_percent", "repeat_percent",
    "lease_hours", "idle_days", "show_glosses", "gloss_rule", "highlight_spellings",
    "search_engine", "encyclopedia", "seed", "team_may_annotate", "on_withdrawal", "may_publish",
    "may_share",
)  # fmt: skip


def plan_of(study: Study) -> StudyPlan:
    """The current plan of a study, with the annotators who can get lists."""
    uses = list(study.items.exclude(use=Item.Use.STUDY).values_list("use", flat=True))
    people = annotators_of(study).select_related("user").order_by("pk")
    texts = texts_of(study)
    return StudyPlan(
        title=study.title,
        extractions=list(study.extractions.order_by("pk")),
        annotators=[row.user for row in people],
        kinds=tuple(study.kinds),
        categories=tuple(study.categories),
        training_lists=uses.count(Item.Use.TRAINING),
        reference_lists=uses.count(Item.Use.REFERENCE),
        pilot_lists=uses.count(Item.Use.PILOT),
        guidelines=str(texts["guidelines"]),
        consent=str(texts["consent"]),
        **{name: getattr(study, name) for name in STORED},
    )


def is_frozen(study: Study) -> bool:
    """Whether a submitted annotation counts, which fixes the study's rules."""
    return Assignment.objects.filter(
        item__study=study,
        purpose=Assignment.Purpose.ANNOTATION,
        submitted_at__isnull=False,
    ).exists()


def plan_check(plan: StudyPlan) -> None:
    """Raises Invalid, with a remedy, for rules that cannot work."""
    if not plan.title.strip():
        raise Invalid(_("Give the study a title."))
    if len(plan.title.strip().splitlines()) > 1:
        raise Invalid(_("Write the title on one line."))
    if len(plan.title.strip()) > TITLE:
        raise Invalid(_("Shorten the title to %(most)s characters.") % {"most": TITLE})
    for name in NUMBERS:
        number_check(name, getattr(plan, name))
    _check_lists(plan)
    _check_categories(plan)
    _check_training(plan)
    _check_glosses(plan)
    _check_look_up(plan)
    if plan.on_withdrawal not in Study.OnWithdrawal.values:
        raise Invalid(_("Say whether annotations are kept or removed when somebody withdraws."))


def number_check(name: str, number: int) -> None:
    """Raises Invalid for a number of a plan that is out of bounds."""
    label, least, most = NUMBERS[name]
    if not least <= number <= most:
        raise Invalid(
            _("%(label)s: choose a number from %(least)s to %(most)s.")
            % {"label": label, "least": least, "most": most}
        )


def _check_lists(plan: StudyPlan) -> None:
    if plan.list_source not in PROTOCOLS:
        raise Invalid(_("Choose what lists show: %(names)s.") % {"names": ", ".join(PROTOCOLS)})
    if not plan.extractions:
        raise Invalid(_("Choose at least one model."))
    if not plan.kinds:
        raise Invalid(_("Choose at least one kind of list."))
    known = plan.protocol.every_kind
    if not set(plan.kinds) <= set(known) or len(set(plan.kinds)) != len(plan.kinds):
        raise Invalid(
            _("Choose among the kinds %(kinds)s, each once.") % {"kinds": ", ".join(known)}
        )
    set_check(plan.drawn_from, kinds=plan.kinds, extractions=plan.extractions)
    if plan.list_source == Source.TRIGGER_PREFIXES:
        _check_minimum_of_prefixes(plan)
        return
    lengths = [extraction.parameters.get("top_k") for extraction in plan.extractions]
    longest = max((length for length in lengths if length is not None), default=plan.min_tokens)
    if plan.min_tokens > longest:
        sentence = ngettext(
            "Minimum tokens: the lists have %(n)s token, so no pattern could count. Choose 1.",
            "Minimum tokens: the lists have %(n)s tokens, so no pattern could count. Choose a "
            "number from 1 to %(n)s.",
            longest,
        )
        said = sentence % {"n": longest}
        raise Unfit(Remedy("min_tokens", said, str(longest), use(longest)))


def _check_minimum_of_prefixes(plan: StudyPlan) -> None:
    if plan.min_tokens > PREFIXES_SHOWN:
        said = _(
            "Minimum: lists have at most %(n)s prefixes, so no pattern could count. Choose a "
            "number from 1 to %(n)s."
        ) % {"n": PREFIXES_SHOWN}
        raise Unfit(Remedy("min_tokens", said, str(PREFIXES_SHOWN), use(PREFIXES_SHOWN)))


def _check_categories(plan: StudyPlan) -> None:
    if not plan.categories or len(set(plan.categories)) != len(plan.categories):
        raise Invalid(_("Choose at least one category, and each once."))
    if not set(plan.categories) <= set(plan.protocol.every_category):
        raise Invalid(
            _("Choose among the categories %(categories)s.")
            % {"categories": ", ".join(plan.protocol.every_category)}
        )
    if "names" in plan.categories and not any(
        extraction.model and extraction.model.vocabulary == WORD_LEVEL
        for extraction in plan.extractions
    ):
        raise Invalid(
            _(
                "The category “names” needs a model whose vocabulary is whole words. Remove the "
                "category, or choose such a model."
            )
        )


def _check_training(plan: StudyPlan) -> None:
    if plan.training_pass_percent is None:
        return
    if not 0 <= plan.training_pass_percent <= 100:
        raise Invalid(_("The score that passes training: choose a number from 0 to 100."))
    if not plan.training_lists:
        sentence = _(
            "There is a score that passes training, but no training list. Add training lists, or "
            "leave the score empty."
        )
        raise Unfit(Remedy("training_pass_percent", sentence, "", _("Leave it empty")))


def _check_glosses(plan: StudyPlan) -> None:
    if plan.gloss_rule not in Study.GlossRule.values:
        raise Invalid(
            _("Choose among the glosses %(rules)s.") % {"rules": ", ".join(Study.GlossRule.values)}
        )
    shown = plan.show_glosses and plan.list_source == Source.TOP_TOKENS
    if not shown or plan.gloss_rule != Study.GlossRule.RANKED:
        return
    for extraction in plan.extractions:
        if lacks_senses(extraction):
            sentence = _(
                "“%(model)s” has glosses but no ranked senses, as an earlier version extracted it. "
                "Choose the first synset, or extract the model again."
            ) % {"model": extraction}
            first = str(Study.GlossRule.FIRST)
            raise Unfit(Remedy("gloss_rule", sentence, first, _("Use the first synset")))


def _check_look_up(plan: StudyPlan) -> None:
    if plan.search_engine not in SEARCH_ENGINES:
        raise Invalid(
            _("Choose among the search engines %(names)s.") % {"names": ", ".join(SEARCH_ENGINES)}
        )
    if plan.encyclopedia not in (NO_ENCYCLOPEDIA, *EDITIONS):
        raise Invalid(
            _("Choose no encyclopedia, or Wikipedia in one of the languages %(names)s.")
            % {"names": ", ".join(EDITIONS)}
        )


def plan_check_people(plan: StudyPlan, by: User) -> None:
    """Raises Invalid if a chosen person cannot annotate; nobody may be chosen yet."""
    unblinded = [user for user in plan.annotators if user.is_admin or user == by]
    if unblinded and not plan.team_may_annotate:
        raise Invalid(
            ngettext(
                "%(people)s sees where lists come from and cannot annotate them blind. Choose "
                "other people.",
                "%(people)s see where lists come from and cannot annotate them blind. Choose "
                "other people.",
                len(unblinded),
            )
            % {"people": ", ".join(map(str, unblinded))}
        )
    chosen = len(plan.annotators)
    if chosen and plan.annotators_per_list > chosen:
        sentence = _(
            "Annotators per list: %(needed)s. Annotators chosen: %(chosen)s. Choose more people, "
            "or fewer per list."
        ) % {"needed": plan.annotators_per_list, "chosen": chosen}
        raise Unfit(Remedy("annotators_per_list", sentence, str(chosen), use(chosen)))


def use(number: int) -> str:
    """The button that chooses a number."""
    return _("Use %(n)s") % {"n": f"{number:,}"}
