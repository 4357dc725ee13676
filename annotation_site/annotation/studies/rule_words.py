"""A study's rules in sentences, group by group, as its form shows them. Pure: no database."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.utils.text import capfirst, get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from annotation_site.annotation.lists.nouns import nouns_of
from annotation_site.annotation.models import Study
from annotation_site.corpus.models import Kind

Values = Mapping[str, Any]
"""Fields of a StudyPlan by name."""


def kinds_words(values: Values) -> str:
    """The kinds of lists, whether short ones are left out, and the seed."""
    kinds = [str(Kind(kind).label) for kind in values["kinds"] or () if kind in Kind.values]
    listed = get_text_list(kinds, _("and")) or _("no kind")
    said = {"kinds": capfirst(listed), "seed": values["seed"]}
    if values.get("set"):
        said["kinds"] = _("%(kinds)s, only of the set “%(set)s”") % {**said, "set": values["set"]}
    if values.get("full_lists_only"):
        return _("%(kinds)s, without short lists; seed %(seed)s.") % said
    return _("%(kinds)s; seed %(seed)s.") % said


def pattern_words(values: Values) -> str:
    """Categories, the least number of entries, patterns per entry."""
    nouns = nouns_of(values.get("list_source", Study.ListSource.TOP_TOKENS))
    listed = get_text_list(list(values["categories"] or ()), _("or")) or _("no category")
    said = {
        "categories": capfirst(listed),
        "counted": nouns.counted(values["min_tokens"]),
        "entry": nouns.one,
    }
    if values["several_patterns_per_token"]:
        return (
            _("%(categories)s, at least %(counted)s; a %(entry)s may be in several patterns.")
            % said
        )
    return _("%(categories)s, at least %(counted)s; a %(entry)s belongs to one pattern.") % said


def gloss_words(values: Values) -> str:
    """Glosses and help with spellings."""
    if nouns_of(values.get("list_source", Study.ListSource.TOP_TOKENS)).is_prefix:
        if values["highlight_spellings"]:
            return _("Similar endings are underlined.")
        return _("Similar endings are not underlined.")
    if not values["show_glosses"]:
        glosses = _("Glosses are not shown")
    elif values["gloss_rule"] == Study.GlossRule.FIRST:
        glosses = _("The first synset is shown, as in the paper")
    else:
        glosses = _("Glosses ranked by frequency are shown")
    if values["highlight_spellings"]:
        return _("%(glosses)s; similar spellings are underlined.") % {"glosses": glosses}
    return _("%(glosses)s; similar spellings are not underlined.") % {"glosses": glosses}


def check_words(values: Values) -> str:
    """Training, reference, repeated and pilot lists, as far as there are any."""
    counted: Sequence[tuple[str, Callable[[int], str]]] = (
        (
            "training_lists",
            lambda n: ngettext("%(n)s training list", "%(n)s training lists", n),
        ),
        (
            "reference_lists",
            lambda n: ngettext("%(n)s silent reference list", "%(n)s silent reference lists", n),
        ),
        ("pilot_lists", lambda n: ngettext("%(n)s pilot list", "%(n)s pilot lists", n)),
    )
    found = [words(n) % {"n": f"{n:,}"} for name, words in counted if (n := values[name])]
    if values["training_lists"] and values["training_pass_percent"] is not None:
        found[0] = _("%(lists)s, passed at %(percent)s%%") % {
            "lists": found[0],
            "percent": values["training_pass_percent"],
        }
    if percent := values["repeat_percent"]:
        found.append(_("%(percent)s%% of lists repeated") % {"percent": percent})
    if not found:
        return _("No training, reference, repeated or pilot lists.")
    return f"{capfirst('; '.join(found))}."


def time_words(values: Values) -> str:
    """How long an opened list is kept, and unopened ones of a person who does nothing."""
    hours, days = values["lease_hours"], values["idle_days"]
    opened = ngettext(
        "An opened list is kept for %(n)s hour", "An opened list is kept for %(n)s hours", hours
    ) % {"n": f"{hours:,}"}
    if days is None:
        return f"{opened}."
    unopened = ngettext(
        "after %(n)s day without work, unopened ones go to others.",
        "after %(n)s days without work, unopened ones go to others.",
        days,
    ) % {"n": f"{days:,}"}
    return f"{opened}; {unopened}"


def researcher_words(values: Values) -> str:
    """Whether the people who run the study annotate."""
    if values["team_may_annotate"]:
        return _("They may annotate too; results leave their annotations out.")
    return _("People who run the study do not annotate.")


def text_words(values: Values) -> str:
    """Whether guidelines and consent are the study's own."""
    own = bool((values["guidelines"] or "").strip())
    asked = bool((values["consent"] or "").strip())
    guidelines = _("Your own guidelines") if own else _("The paper’s guidelines")
    if asked:
        return _("%(guidelines)s; annotators agree to your consent text.") % {
            "guidelines": guidelines
        }
    return _("%(guidelines)s; a short notice about offensive words.") % {"guidelines": guidelines}


def withdrawal_words(values: Values) -> str:
    """The fate of annotations when their person withdraws."""
    if values["on_withdrawal"] == Study.OnWithdrawal.REMOVE:
        return _("Annotations of a person who withdraws are removed, and others get their lists.")
    return _("Annotations of a person who withdraws are kept, under a code.")


def publication_words(values: Values) -> str:
    """Whether results and lists may be published, and single annotations shared."""
    if values["may_publish"]:
        results = _("Results and lists may be published once the study is closed.")
    else:
        results = _("Nothing of the study may be published here.")
    if values.get("may_share"):
        annotations = _("Single annotations may be shared as a data set, under codes.")
    else:
        annotations = _("Single annotations may not be shared.")
    return f"{results} {annotations}"
