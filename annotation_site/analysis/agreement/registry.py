"""Registry of the measures of agreement, each defined in ``docs/measures.md``.

To add a measure, write a function from `Answers` to `Statistics` and one entry here.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from annotation_site.analysis.agreement.measure import Measure
from annotation_site.analysis.agreement.omega import omega_index
from annotation_site.analysis.agreement.patterns import (
    adjusted_rand,
    matched_category,
    matched_jaccard,
    matched_stopwords,
    pattern_count,
    pattern_f1,
)
from annotation_site.analysis.agreement.tokens import (
    Codes,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
    masi_alpha,
    percent_agreement,
)

__all__ = ["AGREEMENT_MEASURES", "Measure", "measures_of_prefixes"]

_LABEL_PAIRS = "pairs of labels"
_COHEN = "Cohen (1960), A coefficient of agreement for nominal scales"
_COHEN_URL = "https://doi.org/10.1177/001316446002000104"
_FLEISS = "Fleiss (1971), Measuring nominal scale agreement among many raters"
_FLEISS_URL = "https://doi.org/10.1037/h0031619"
_GWET = "Gwet (2008), Computing inter-rater reliability in the presence of high agreement"
_GWET_URL = "https://doi.org/10.1348/000711006X126600"
_KRIPPENDORFF = "Krippendorff (2011), Computing Krippendorff's alpha-reliability"
_KRIPPENDORFF_URL = "https://repository.upenn.edu/handle/20.500.14332/2089"
_MASI = "Passonneau (2006), Measuring agreement on set-valued items (MASI)"
_MASI_URL = "https://aclanthology.org/L06-1392/"
_ARTSTEIN = "Artstein and Poesio (2008), Inter-coder agreement for computational linguistics"
_ARTSTEIN_URL = "https://doi.org/10.1162/coli.07-034-R2"
_JACCARD = "Jaccard (1912), The distribution of the flora in the alpine zone; Kuhn (1955)"
_JACCARD_URL = "https://doi.org/10.1111/j.1469-8137.1912.tb05611.x"
_F1 = "Van Rijsbergen (1979), Information retrieval, chapter 7"
_F1_URL = "https://www.dcs.gla.ac.uk/Keith/Chapter.7/Ch.7.html"
_RAND = "Hubert and Arabie (1985), Comparing partitions"
_RAND_URL = "https://doi.org/10.1007/BF01908075"
_OMEGA = "Collins and Dent (1988), Omega: a general formulation of the Rand index"
_OMEGA_URL = "https://doi.org/10.1207/s15327906mbr2302_6"

_MEASURES = (
    Measure(
        name="percent_agreement_concept",
        title="Percent agreement, in a concept",
        definition="The share of pairs of labels for one %(entry)s that agree on whether the "
        "%(entry)s is in some concept.",
        source=_ARTSTEIN,
        url=_ARTSTEIN_URL,
        unit=_LABEL_PAIRS,
        on="tokens",
        function=partial(percent_agreement, coding=Codes.concept),
    ),
    Measure(
        name="cohen_kappa_concept",
        title="Cohen's kappa, in a concept",
        definition="Agreement of two people on whether a %(entry)s is in some concept, "
        "corrected for chance by each person's own frequencies; the mean over pairs "
        "of people, weighted by the %(entries)s they have in common.",
        source=_COHEN,
        url=_COHEN_URL,
        unit=_LABEL_PAIRS,
        on="tokens",
        function=partial(cohen_kappa, coding=Codes.concept),
    ),
    Measure(
        name="fleiss_kappa_concept",
        title="Fleiss' kappa, in a concept",
        definition="Agreement on whether a %(entry)s is in some concept, corrected for chance "
        "by everybody's frequencies together; only where every list has the same "
        "number of annotators.",
        source=_FLEISS,
        url=_FLEISS_URL,
        unit="tokens",
        on="tokens",
        function=partial(fleiss_kappa, coding=Codes.concept),
    ),
    Measure(
        name="gwet_ac1_concept",
        title="Gwet's AC1, in a concept",
        definition="Agreement on whether a %(entry)s is in some concept, corrected for the "
        "chance agreement 2π(1 − π), with π the mean share of people who put a %(entry)s into "
        "a concept. It stays high where nearly all %(entries)s get the same label and kappa "
        "falls; lists may have different people and numbers of people.",
        source=_GWET,
        url=_GWET_URL,
        unit="tokens",
        on="tokens",
        function=gwet_ac1,
    ),
    Measure(
        name="krippendorff_alpha_concept",
        title="Krippendorff's alpha, in a concept",
        definition="One minus observed over expected disagreement on whether a %(entry)s is in "
        "some concept; lists may have different people and numbers of people.",
        source=_KRIPPENDORFF,
        url=_KRIPPENDORFF_URL,
        unit="tokens",
        on="tokens",
        function=partial(krippendorff_alpha, coding=Codes.concept),
    ),
    Measure(
        name="percent_agreement_category",
        title="Percent agreement, category",
        definition="The share of pairs of labels for one %(entry)s that name the same "
        "category, none being one; without annotations in which a %(entry)s is in "
        "several patterns.",
        source=_ARTSTEIN,
        url=_ARTSTEIN_URL,
        unit=_LABEL_PAIRS,
        on="tokens",
        function=partial(percent_agreement, coding=Codes.category),
        needs_categories=True,
        needs_one_pattern=True,
    ),
    Measure(
        name="cohen_kappa_category",
        title="Cohen's kappa, category",
        definition="Cohen's kappa, as above, of the %(entry)s's category, none being one; "
        "without annotations in which a %(entry)s is in several patterns.",
        source=_COHEN,
        url=_COHEN_URL,
        unit=_LABEL_PAIRS,
        on="tokens",
        function=partial(cohen_kappa, coding=Codes.category),
        needs_categories=True,
        needs_one_pattern=True,
    ),
    Measure(
        name="fleiss_kappa_category",
        title="Fleiss' kappa, category",
        definition="Fleiss' kappa, as above, of the %(entry)s's category, none being one; "
        "without annotations in which a %(entry)s is in several patterns.",
        source=_FLEISS,
        url=_FLEISS_URL,
        unit="tokens",
        on="tokens",
        function=partial(fleiss_kappa, coding=Codes.category),
        needs_categories=True,
        needs_one_pattern=True,
    ),
    Measure(
        name="krippendorff_alpha_category",
        title="Krippendorff's alpha, category",
        definition="Krippendorff's alpha, as above, of the %(entry)s's category, none being "
        "one; without annotations in which a %(entry)s is in several patterns.",
        source=_KRIPPENDORFF,
        url=_KRIPPENDORFF_URL,
        unit="tokens",
        on="tokens",
        function=partial(krippendorff_alpha, coding=Codes.category),
        needs_categories=True,
        needs_one_pattern=True,
    ),
    Measure(
        name="krippendorff_alpha_masi",
        title="Krippendorff's alpha, sets of categories",
        definition="Krippendorff's alpha of the set of a %(entry)s's categories, {none} where "
        "it has none, with MASI distances: sets that overlap agree in part.",
        source=_MASI,
        url=_MASI_URL,
        unit="tokens",
        on="tokens",
        function=masi_alpha,
        needs_categories=True,
    ),
    Measure(
        name="mean_matched_jaccard",
        title="Overlap of matched patterns",
        definition="Two people's patterns are matched one to one so that their Jaccard "
        "overlaps add up to the most; the sum over the number of patterns, matched "
        "ones counted once. The mean over each list's pairs of people, then over "
        "lists.",
        source=_JACCARD,
        url=_JACCARD_URL,
        unit="lists",
        on="patterns",
        function=matched_jaccard,
        has_chance=True,
    ),
    Measure(
        name="pattern_f1",
        title="F1 of patterns",
        definition="Twice the number of matched patterns with an overlap of at least one half, "
        "over all patterns of both people. The mean over each list's pairs of "
        "people, then over lists.",
        source=_F1,
        url=_F1_URL,
        unit="lists",
        on="patterns",
        function=pattern_f1,
        has_chance=True,
    ),
    Measure(
        name="matched_category_agreement",
        title="Category of matched patterns",
        definition="The share of matched patterns with an overlap of at least one half to "
        "which both people give the same category.",
        source=_ARTSTEIN,
        url=_ARTSTEIN_URL,
        unit="matched patterns",
        on="patterns",
        function=matched_category,
        needs_categories=True,
        has_chance=True,
    ),
    Measure(
        name="matched_stopwords_agreement",
        title="Stopwords flag of matched patterns",
        definition="The share of matched patterns with an overlap of at least one half to "
        "which both people give the same flag for stopwords and punctuation.",
        source=_ARTSTEIN,
        url=_ARTSTEIN_URL,
        unit="matched patterns",
        on="patterns",
        function=matched_stopwords,
        needs_flags=True,
        has_chance=True,
    ),
    Measure(
        name="pattern_count_agreement",
        title="Number of patterns",
        definition="The share of pairs of people with equally many patterns in a list, where "
        "at least one of the two has a pattern. The mean over each list's pairs of people, then "
        "over lists.",
        source=_ARTSTEIN,
        url=_ARTSTEIN_URL,
        unit="lists",
        on="patterns",
        function=pattern_count,
    ),
    Measure(
        name="adjusted_rand_index",
        title="Adjusted Rand index",
        definition="Agreement of two groupings of a list's %(entries)s, corrected for chance; "
        "a %(entry)s without a pattern is a group of its own. The mean over each "
        "list's pairs of people, then over lists; without annotations in which a "
        "%(entry)s is in several patterns.",
        source=_RAND,
        url=_RAND_URL,
        unit="lists",
        on="patterns",
        function=adjusted_rand,
        needs_one_pattern=True,
    ),
    Measure(
        name="omega_index",
        title="Omega index",
        definition="Agreement of two groupings of a list's %(entries)s, corrected for chance, "
        "also where a %(entry)s is in several patterns: two people agree on a pair of "
        "%(entries)s that is together in equally many patterns of each. With one pattern per "
        "%(entry)s it is the adjusted Rand index. The mean over each list's pairs of people, "
        "then over lists.",
        source=_OMEGA,
        url=_OMEGA_URL,
        unit="lists",
        on="patterns",
        function=omega_index,
    ),
)

AGREEMENT_MEASURES: Mapping[str, Measure] = {measure.name: measure for measure in _MEASURES}
"""Every measure by name, in the order of tables."""

if len(AGREEMENT_MEASURES) < len(_MEASURES):
    raise ValueError("Two measures of agreement have the same name.")

NO_FLAGS_OF_PREFIXES = "undefined, because patterns of prefixes have no stopwords flag."
SEVERAL_PATTERNS_OF_A_PREFIX = "undefined, because a prefix can be in several patterns."


def measures_of_prefixes(*, several_patterns: bool) -> Mapping[str, Measure]:
    """The measures of a study whose lists are trigger prefixes: they count prefixes.

    With `several_patterns`, those that take an entry to be in one pattern at most have no value.
    Nor have those of flags, which patterns of prefixes do not have.
    """
    return {
        name: replace(
            measure,
            unit="prefixes" if measure.unit == "tokens" else measure.unit,
            undefined=_undefined_of_prefixes(measure, several_patterns=several_patterns),
        )
        for name, measure in AGREEMENT_MEASURES.items()
    }


def _undefined_of_prefixes(measure: Measure, *, several_patterns: bool) -> str:
    if measure.needs_flags:
        return NO_FLAGS_OF_PREFIXES
    if several_patterns and measure.needs_one_pattern:
        return SEVERAL_PATTERNS_OF_A_PREFIX
    return ""
