"""Registry of proxies: numbers that can be known of every value vector.

To add one, add an entry to `_PROXIES`. The order is announced: the figure across layers and the
estimates' headline use the first proxy that is known, whatever its estimates are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.utils.translation import gettext_noop

from annotation_site.analysis.machine_annotators import MACHINE_ANNOTATORS, PREFIX, is_machine
from annotation_site.sentences import Sentence

_COVERAGE_BY = gettext_noop("Coverage by Machine: %(name)s")
_NAMED = "%(name)s"
_OF_LANGUAGE_MODEL = gettext_noop(
    "The share of a list’s tokens in a pattern of this language model. Lists at which it failed "
    "count as 0."
)


@dataclass(frozen=True)
class Proxy:
    """A proxy of one of three sorts.

    With an `annotator`, the name of a machine annotator, it is that annotator's coverage of a list:
    a worker computes it from a list of every value vector. With a `statistic`, a column of
    `ValueStatistics`, it is a number that the model's bundle holds of every value vector. With
    neither it is the coverage of a language model's run, and not in the registry.
    """

    name: str
    title: str
    description: str
    annotator: str = ""
    statistic: str = ""

    @property
    def is_computed(self) -> bool:
        """Whether a worker computes it; else it is read from value statistics."""
        return bool(self.annotator)

    @property
    def needs_wordnet(self) -> bool:
        """Whether the worker that computes it needs WordNet."""
        return self.is_computed and MACHINE_ANNOTATORS[self.annotator].needs_wordnet


def registered(proxies: Iterable[Proxy]) -> Mapping[str, Proxy]:
    """The proxies by name, in their order. Raises ValueError for a name that is there twice."""
    found: dict[str, Proxy] = {}
    for proxy in proxies:
        if proxy.name in found:
            raise ValueError(f"There are two proxies named {proxy.name}.")
        found[proxy.name] = proxy
    return found


_PROXIES = (
    Proxy(
        "machine-hypernyms",
        gettext_noop("Coverage by shared hypernyms"),
        gettext_noop(
            "The share of a list’s tokens in a pattern of the machine annotator that proposes "
            "nouns with a hypernym in common in WordNet."
        ),
        annotator="machine-hypernyms",
    ),
    Proxy(
        "machine-affixes",
        gettext_noop("Coverage by shared affixes"),
        gettext_noop(
            "The share of a list’s tokens in a pattern of the machine annotator that proposes "
            "words with a prefix, a suffix or an inflection in common."
        ),
        annotator="machine-affixes",
    ),
    Proxy(
        "kurtosis",
        gettext_noop("Kurtosis of scores"),
        gettext_noop(
            "The excess kurtosis of a vector’s scores over the vocabulary; 0 for a normal "
            "distribution."
        ),
        statistic="kurtosis",
    ),
    Proxy(
        "skew",
        gettext_noop("Skew of scores"),
        gettext_noop("The skew of a vector’s scores over the vocabulary."),
        statistic="skew",
    ),
    Proxy(
        "norm",
        gettext_noop("Norm of the vector"),
        gettext_noop("The Euclidean norm of the value vector."),
        statistic="norm",
    ),
)

PROXIES: Mapping[str, Proxy] = registered(_PROXIES)
"""Every proxy by name, the one that is announced as the best first."""


def announced(names: Iterable[str]) -> str:
    """Of the proxies with estimates the one that is announced as the best; empty for none.

    The registry's order decides, so that nobody takes the proxy whose estimate they like. Names
    that are not in it come after those that are, as they are given: language models in the order in
    which their runs were requested.
    """
    known = [name for name in names if name]
    return next((name for name in PROXIES if name in known), known[0] if known else "")


def is_of_language_model(name: str) -> bool:
    """Whether a proxy of this name is the coverage of a language model's run."""
    return is_machine(name) and name not in PROXIES


def of_language_model(name: str) -> Proxy:
    """The proxy that a language model's run of this name is: its coverage of a list."""
    return Proxy(name, title_of(name), _OF_LANGUAGE_MODEL)


def title_of(name: str) -> str:
    """The English title of a proxy; its name where nothing is known of it."""
    return title_sentence(name).english


def title_sentence(name: str) -> Sentence:
    """The title of a proxy, in the language of the moment."""
    if name in PROXIES:
        return Sentence(PROXIES[name].title)
    if is_of_language_model(name):
        return Sentence(_COVERAGE_BY, name=name.removeprefix(PREFIX))
    return Sentence(_NAMED, name=name)
