"""Facts about a data set's study that card, Croissant and citation say in the same words."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from annotation_site.data_sets.options import Options
from annotation_site.data_sets.source import Source
from annotation_site.results.files.product import NAME, VERSION

MADE_UP = (
    "The annotations are made up: a program wrote them, and no person judged a list. They show "
    "what the software does; report no number of them as a result."
)


@dataclass(frozen=True)
class StudyFacts:
    """Facts that the archive does not tell of its study.

    `open_links` are people with annotations who joined by an open link; `keeps_withdrawn` says
    whether annotations of a person who withdraws are kept.
    """

    open_links: int
    keeps_withdrawn: bool


@dataclass
class Facts:
    """The archive, the choices, the number of rows, and what the study says besides."""

    source: Source
    options: Options
    rows: dict[str, int]
    study: StudyFacts

    @property
    def parameters(self) -> dict[str, Any]:
        return self.source.parameters

    @property
    def rules(self) -> dict[str, Any]:
        return dict(self.parameters["study"])

    @property
    def counts(self) -> dict[str, Any]:
        return dict(self.parameters["counts"])

    @property
    def is_made_up(self) -> bool:
        return bool(self.rules["made_up"])

    @property
    def has_prefixes(self) -> bool:
        return bool(self.rules["list_source"] == "trigger_prefixes")

    @property
    def entries(self) -> str:
        """The plural of an entry of a list."""
        return "trigger prefixes" if self.has_prefixes else "tokens"

    @property
    def keywords(self) -> list[str]:
        """Words to find the data set by."""
        made = "made-up-annotations" if self.is_made_up else "human-annotation"
        return ["interpretability", "feed-forward-layers", "agreement", made]

    @property
    def title(self) -> str:
        title = " ".join((self.options.title.strip() or str(self.rules["title"])).split())
        return f"{title} (made-up annotations)" if self.is_made_up else title

    @property
    def name(self) -> str:
        """The short name of the study, for identifiers."""
        return str(self.rules["slug"])

    @property
    def authors(self) -> tuple[str, ...]:
        given = tuple(" ".join(author.split()) for author in self.options.authors)
        title = " ".join(str(self.rules["title"]).split())
        return given or (f"Researchers of the study “{title}”",)

    @property
    def is_crowd(self) -> bool:
        """Whether people joined by an open link, also where the study came from an archive."""
        return bool(self.study.open_links or self.rules.get("crowd"))

    @property
    def models(self) -> list[str]:
        return sorted({row.model for row in self.source.lists})

    @property
    def version(self) -> str:
        """The version of the data, which grows with each change."""
        return f"1.0.{self.parameters['data_version']}"

    @cached_property
    def people(self) -> Counter[str]:
        """How many people there are of each role, researchers only those who adjudicated."""
        return Counter(dict(self._people()).values())

    def _people(self) -> list[tuple[str, str]]:
        return sorted({(one.annotator, one.role) for one in self.source.records()})

    @cached_property
    def machines(self) -> list[str]:
        """Names of the machine annotators."""
        rows = (*self.source.rows("machines"), *self.source.rows("machine_failures"))
        return sorted({row["annotator"] for row in rows})

    @property
    def machine_runs(self) -> list[dict[str, str]]:
        """A row per language model that annotated, as the archive has them."""
        return self.source.rows("machine_runs")

    @property
    def description(self) -> str:
        """A paragraph on what the data set is."""
        counts, models = self.counts, ", ".join(self.models)
        said = (
            f"{counts['all_records']['records']:,} annotations of {counts['lists']:,} lists of "
            f"{self.entries} of feed-forward layers of {models}. Each annotation says which "
            "patterns one person recognised in a list, with their descriptions and categories."
        )
        return f"{MADE_UP} {said}" if self.is_made_up else said

    @property
    def who(self) -> str:
        """Numbers of the people who annotated, in sentences."""
        if self.is_made_up:
            return MADE_UP
        annotators, researchers = self.people["annotator"], self.people["researcher"]
        said = [f"People who annotated under codes: {annotators:,}."]
        if self.study.open_links:
            said.append(
                f"{self.study.open_links:,} of them joined by an open link, as crowd workers do; "
                "the others were invited by the researchers."
            )
        elif self.is_crowd:
            said.append(
                "Some of them joined by an open link, as crowd workers do; how many is not known, "
                "because the study came from an archive."
            )
        else:
            said.append("All of them were invited by the researchers.")
        if researchers:
            said.append(f"People who run the study and annotated or adjudicated: {researchers:,}.")
        said.append("Nothing else is known of them here, such as age, origin or first language.")
        return " ".join(said)

    @property
    def blindness(self) -> str:
        return (
            "Annotators saw neither the model nor the kind, layer or index of a vector. The "
            "annotations of people who could see it are in the data with `unblinded` true, and "
            "count nowhere."
        )

    @property
    def protocol(self) -> str:
        """The rules of annotation in sentences."""
        rules = self.rules
        several = (
            "an entry can be in several patterns"
            if rules["several_patterns_per_token"]
            else "an entry belongs to one pattern at most"
        )
        return (
            f"Each list shows {self.entries} by rank. A person groups entries into patterns, "
            "describes each pattern and gives it a category "
            f"({' or '.join(rules['categories'])}), or says that the list has no pattern; "
            f"{several}. A pattern needs at least {rules['min_tokens']} entries to count. The "
            f"design asks for {rules['annotators_per_list']} annotations per list, by different "
            "people in random orders. "
        ) + self.blindness

    @property
    def limits(self) -> list[str]:
        """Known limits and biases that hold for this data set."""
        counts = self.counts
        said = [
            "The entries come unchanged from models' vocabularies or corpora. Some are offensive "
            "or upsetting.",
            f"The lists are those of {', '.join(self.models)} alone, and a sample of them: they "
            "say nothing about other models, and vectors that were not drawn can differ.",
        ]
        people = self.people["annotator"]
        if people < 10:
            said.append(
                f"Few people annotated ({people:,}), so what they have in common can pass for a "
                "property of the lists."
            )
        excluded = counts["excluded"]
        if any(excluded.values()):
            said.append(
                f"{excluded['surplus']:,} annotations are surplus and {excluded['unblinded']:,} "
                "were not blind; `counts` is false for them."
            )
        if counts["skipped"]:
            said.append(
                f"People skipped lists {counts['skipped']:,} times; what they skip is not random."
            )
        if not self.has_prefixes:
            said.append(
                "Glosses are English, and descriptions follow the annotators' knowledge of English "
                "words."
            )
        return said

    @property
    def sensitive(self) -> str:
        """A paragraph on the personal and sensitive content."""
        added = [
            word
            for word, is_in in (
                ("times of work", self.options.with_times),
                ("comments", self.options.with_comments),
            )
            if is_in
        ]
        left = [
            word
            for word, is_in in (
                ("times of work", self.options.with_times),
                ("comments", self.options.with_comments),
            )
            if not is_in
        ]
        said = "People appear under random codes that mean nothing elsewhere; names are not in it. "
        said += "Descriptions are in the annotators' own words."
        if added:
            said += f" The researchers added {' and '.join(added)}."
        if left:
            said += f" It holds no {' and no '.join(left)}."
        return said

    @property
    def consent(self) -> str:
        """A paragraph on the agreement that people gave."""
        if self.is_made_up:
            return "No person annotated, so nobody was asked for consent."
        said = (
            "Before their first list, people read that single annotations may be shared as a data "
            "set once the study is closed: with patterns and descriptions, under a code, never "
            "with names, and with times of work and comments only if the researchers add them. "
        )
        if self.study.keeps_withdrawn:
            said += "Annotations of people who withdrew are kept under their code, as they agreed."
        else:
            said += "Annotations of people who withdrew were removed, as they agreed."
        return said

    @property
    def software(self) -> str:
        return f"{NAME} {VERSION}"
