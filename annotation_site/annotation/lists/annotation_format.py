"""Format and rules of an annotation's JSON. Pure: no database, no request.

METHOD: an annotator gives every pattern a number, assigns ranks to patterns, describes each and
classifies it; "no pattern here" is an explicit answer (Geva et al. 2022, appendix A.2).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.utils.translation import gettext as _

from annotation_site.analysis.stopwords import propose_stopwords_flag
from annotation_site.annotation.lists.nouns import nouns_of
from annotation_site.annotation.models import Study
from annotation_site.bounds import ANSWER
from annotation_site.errors import InvalidAnnotation

MOST_PATTERNS = 30


@dataclass(frozen=True)
class Rules:
    """A study's rules for annotations."""

    list_length: int
    categories: Sequence[str]
    several_patterns_per_token: bool
    list_source: str = Study.ListSource.TOP_TOKENS

    @property
    def has_stopwords_flag(self) -> bool:
        """Whether patterns have a flag for stopwords; those of prefixes have none."""
        return self.list_source == Study.ListSource.TOP_TOKENS


@dataclass(frozen=True)
class AnnotatedPattern:
    """One pattern of an annotation. `stopwords` None follows the proposal."""

    number: int
    description: str
    category: str
    stopwords: bool | None
    ranks: tuple[int, ...]

    def proposed_stopwords(self, is_stopword: Mapping[int, bool]) -> bool:
        """Whether most members are stop words or punctuation; `is_stopword` is by rank."""
        return propose_stopwords_flag([is_stopword[rank] for rank in self.ranks])


@dataclass(frozen=True)
class Annotation:
    """One annotation. No patterns and `no_pattern` mean "no pattern in this list"."""

    patterns: tuple[AnnotatedPattern, ...]
    no_pattern: bool
    comment: str

    def to_json(self) -> dict[str, Any]:
        """The JSON that `annotation_parse` reads back."""
        data = asdict(self)
        data["patterns"] = [
            {**pattern, "ranks": list(pattern["ranks"])} for pattern in data["patterns"]
        ]
        return data


def annotation_parse(data: object, rules: Rules) -> Annotation:
    """Read an annotation from JSON.

    Raises InvalidAnnotation with the first broken rule, as a sentence for the annotator. Patterns
    below the study's minimum are kept: the minimum is applied when results are computed.
    """
    if not isinstance(data, dict) or not isinstance(data.get("patterns"), list):
        raise InvalidAnnotation(
            _("The annotation has no list of patterns. Reload the page and try again.")
        )
    if len(data["patterns"]) > MOST_PATTERNS:
        raise InvalidAnnotation(
            _("An annotation has at most %(most)s patterns. Remove some.") % {"most": MOST_PATTERNS}
        )
    patterns = tuple(
        _pattern(entry, expected, rules) for expected, entry in enumerate(data["patterns"], 1)
    )
    no_pattern = data.get("no_pattern") is True
    if not patterns and not no_pattern:
        raise InvalidAnnotation(_("Mark at least one pattern, or check “No pattern in this list”."))
    if patterns and no_pattern:
        raise InvalidAnnotation(
            _("“No pattern in this list” is checked, but there are patterns. Remove one.")
        )
    if not rules.several_patterns_per_token:
        _each_rank_once(patterns, rules)
    return Annotation(patterns, no_pattern, _text(data.get("comment", ""), _("Comment")))


def _pattern(entry: object, expected: int, rules: Rules) -> AnnotatedPattern:
    if not isinstance(entry, dict):
        raise InvalidAnnotation(
            _("Pattern %(number)s is malformed. Reload the page and try again.")
            % {"number": expected}
        )
    if entry.get("number") != expected or isinstance(entry.get("number"), bool):
        raise InvalidAnnotation(_("Number the patterns 1, 2, 3 and so on, in order."))
    if entry.get("category") not in rules.categories:
        raise InvalidAnnotation(
            _("Pattern %(number)s needs a category: %(categories)s.")
            % {"number": expected, "categories": ", ".join(rules.categories)}
        )
    if not isinstance(entry.get("stopwords"), bool | None):
        raise InvalidAnnotation(
            _("Pattern %(number)s: the stopwords flag is true, false or null.")
            % {"number": expected}
        )
    if entry.get("stopwords") and not rules.has_stopwords_flag:
        raise InvalidAnnotation(
            _("Pattern %(number)s: patterns of prefixes have no stopwords flag. Remove it.")
            % {"number": expected}
        )
    return AnnotatedPattern(
        number=expected,
        description=_text(
            entry.get("description", ""),
            _("Description of pattern %(number)s") % {"number": expected},
        ),
        category=entry["category"],
        stopwords=entry.get("stopwords"),
        ranks=_ranks(entry.get("ranks"), expected, rules),
    )


def _ranks(data: object, number: int, rules: Rules) -> tuple[int, ...]:
    nouns = nouns_of(rules.list_source)
    said = {"number": number, "entry": nouns.one, "entries": nouns.many}
    if not isinstance(data, list) or not data:
        raise InvalidAnnotation(
            _("Pattern %(number)s has no %(entry)s. Add a %(entry)s, or remove the pattern.") % said
        )
    if any(not isinstance(r, int) or isinstance(r, bool) for r in data):
        raise InvalidAnnotation(
            _("Pattern %(number)s: give %(entries)s by their ranks, as whole numbers.") % said
        )
    if min(data) < 1 or max(data) > rules.list_length:
        raise InvalidAnnotation(
            _("Pattern %(number)s: this list has the ranks 1 to %(last)s.")
            % {"number": number, "last": rules.list_length}
        )
    if len(set(data)) != len(data):
        raise InvalidAnnotation(_("Pattern %(number)s has a %(entry)s twice. Remove one.") % said)
    return tuple(sorted(data))


def _each_rank_once(patterns: Sequence[AnnotatedPattern], rules: Rules) -> None:
    seen: dict[int, int] = {}
    for pattern in patterns:
        for rank in pattern.ranks:
            if rank in seen:
                raise InvalidAnnotation(
                    _(
                        "Rank %(rank)s is in patterns %(one)s and %(other)s. In this study a "
                        "%(entry)s belongs to one pattern: take it out of one."
                    )
                    % {
                        "rank": rank,
                        "one": seen[rank],
                        "other": pattern.number,
                        "entry": nouns_of(rules.list_source).one,
                    }
                )
            seen[rank] = pattern.number


def is_storable(text: str) -> bool:
    """Whether every database can hold the text: no NUL, no lone half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def _text(data: object, what: str) -> str:
    if not isinstance(data, str) or not is_storable(data):
        raise InvalidAnnotation(_("%(what)s: send text of whole characters.") % {"what": what})
    if len(data) > ANSWER:
        raise InvalidAnnotation(
            _("%(what)s: shorten the text from %(n)s to %(most)s characters.")
            % {"what": what, "n": len(data), "most": ANSWER}
        )
    return data
