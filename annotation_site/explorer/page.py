"""The page of a neuron: its value and its key, each with what people said of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.urls import reverse

from annotation_site.accounts.models import User
from annotation_site.annotation.lists.entries import (
    PREFIXES_SHOWN,
    ListEntry,
    both_ends,
    cut_before_last_token,
)
from annotation_site.annotation.lists.hidden import hidden_from
from annotation_site.annotation.models import Item, Study
from annotation_site.corpus.corpora import corpus_sentences
from annotation_site.corpus.loading import CONTINUATION, shown
from annotation_site.corpus.models import Extraction, Kind, TriggerPrefixes, ValueStatistics, Vector
from annotation_site.explorer.agreement import Agreement, agreement
from annotation_site.explorer.machines import MachinesSaid, machines_said
from annotation_site.explorer.places import Neuron, elsewhere, neighbours
from annotation_site.explorer.said import Said, said_of
from annotation_site.explorer.similar import SimilarVector, similar_vectors
from annotation_site.results.pages.marks import Entry, SideBySide, entries_marked

Source = Study.ListSource
Side = TriggerPrefixes.Side
AFTER = 60  # characters of a sentence that are shown behind a trigger


@dataclass(frozen=True)
class Rank:
    """The place of a value's norm among those of its layer, the largest first, from 1."""

    place: int
    of: int


@dataclass(frozen=True)
class Trigger:
    """A prefix that activates a key, with its coefficient and people's marks.

    `after` is the text behind it; None where the site does not have the sentence.
    """

    entry: Entry
    copies: int
    after: str | None

    @property
    def after_shown(self) -> str:
        """The beginning of the text behind the trigger."""
        text = self.after or ""
        return text if len(text) <= AFTER else f"{text[:AFTER].rstrip()}…"


@dataclass(frozen=True)
class TriggerSide:
    """The triggers of one side, best first."""

    is_negative: bool
    triggers: list[Trigger]


@dataclass(frozen=True)
class ValuePart:
    """The value vector. Without a list, `elsewhere` is an extraction that has one.

    `similar` share most top tokens with it; `machines` are programs, apart from people's `said`.
    """

    vector: Vector | None
    top: list[Entry]
    bottom: list[Entry]
    statistics: ValueStatistics | None
    norm: float | None
    rank: Rank | None
    said: Said
    elsewhere: Extraction | None
    machines: MachinesSaid = field(default_factory=MachinesSaid)
    similar: list[SimilarVector] = field(default_factory=list)

    @property
    def highest(self) -> float | None:
        """The score of the first token."""
        return self.top[0].score if self.top else None

    @property
    def lowest(self) -> float | None:
        """The score of the lowest token."""
        return self.bottom[0].score if self.bottom else None


@dataclass(frozen=True)
class KeyPart:
    """The key with its triggers. `has_keys`: the extraction has keys, this one or others."""

    vector: Vector | None
    sides: list[TriggerSide]
    said: Said
    has_keys: bool
    elsewhere: Extraction | None
    machines: MachinesSaid = field(default_factory=MachinesSaid)


@dataclass(frozen=True)
class NeuronPage:
    """Everything that the page of a neuron shows to one reader.

    `agreement` is None where a list is missing, or where nothing tells which token comes next.
    """

    neuron: Neuron
    before: tuple[int, int] | None
    after: tuple[int, int] | None
    value: ValuePart
    key: KeyPart
    agreement: Agreement | None

    @property
    def last_layer(self) -> int:
        """The number of the model's last layer."""
        return self.neuron.model.n_layers - 1

    @property
    def looked_at(self) -> list[Item]:
        """Lists of the reader's own studies whose annotations the page shows."""
        return [*self.value.said.looked_at, *self.key.said.looked_at]


def neuron_page(neuron: Neuron, user: User) -> NeuronPage:
    """The page of a neuron that the reader may see: see `neuron_find`."""
    stored = {
        vector.kind: vector
        for vector in neuron.extraction.vectors.filter(
            kind__in=(Kind.VALUE, Kind.KEY), **neuron.place
        )
    }
    value = _value(neuron, stored.get(Kind.VALUE), user)
    key = _key(neuron, stored.get(Kind.KEY), user)
    before, after = neighbours(neuron)
    return NeuronPage(neuron, before, after, value, key, _agreement(value, key))


def _value(neuron: Neuron, vector: Vector | None, user: User) -> ValuePart:
    statistics, rank = _statistics(neuron)
    if vector is None:
        only = statistics.norm if statistics else None
        other = elsewhere(neuron, Kind.VALUE)
        return ValuePart(None, [], [], statistics, only, rank, Said(), other)
    said = said_of(vector, source=Source.TOP_TOKENS, user=user)
    high, low = both_ends(vector, Study.GlossRule.RANKED)
    scores: Any = vector.scores  # the fields give floats for the bytes that they store
    low_scores: Any = vector.bottom_scores
    largest = max(map(abs, (*(scores or ()), *(low_scores or ()))), default=0)
    top = _linked(entries_marked(high, scores, largest, said.side), vector, vector.token_ids)
    bottom = _linked(
        entries_marked(low, low_scores, largest, SideBySide()), vector, vector.bottom_token_ids
    )
    norm = statistics.norm if statistics else vector.norm
    similar = similar_vectors(vector, [entry.display for entry in high], hidden_from(user))
    return ValuePart(
        vector,
        _glosses_once(top),
        _glosses_once(bottom),
        statistics,
        norm,
        rank,
        said,
        None,
        machines_said(high),
        similar,
    )


def _linked(
    entries: Sequence[Entry], vector: Vector, token_ids: Sequence[int] | None
) -> list[Entry]:
    """The entries with the addresses of their tokens' pages."""
    extraction = vector.extraction.public_id
    return [
        replace(entry, url=reverse("explorer:token", args=[extraction, token_id]))
        for entry, token_id in zip(entries, token_ids or (), strict=True)
    ]


def _statistics(neuron: Neuron) -> tuple[ValueStatistics | None, Rank | None]:
    """The bundle's numbers about the value, and the rank of its norm in its layer."""
    layer = ValueStatistics.objects.filter(extraction=neuron.extraction, layer=neuron.layer)
    found = layer.filter(index=neuron.index).first()
    if found is None:
        return None, None
    larger = layer.filter(norm__gt=found.norm).count()
    return found, Rank(larger + 1, layer.count())


def _glosses_once(entries: Sequence[Entry]) -> list[Entry]:
    """The entries, of which each that repeats a gloss names the first with it."""
    first: dict[str, int] = {}
    found = []
    for entry in entries:
        gloss, rank = entry.token.gloss, entry.token.rank
        earlier = first.setdefault(gloss, rank) if gloss else rank
        found.append(entry if earlier == rank else replace(entry, as_rank=earlier))
    return found


def _key(neuron: Neuron, vector: Vector | None, user: User) -> KeyPart:
    rows = TriggerPrefixes.objects.filter(
        extraction=neuron.extraction, kind=Kind.KEY, **neuron.place
    )
    stored = {row.side: row.prefixes[:PREFIXES_SHOWN] for row in rows}
    has_keys = bool(stored) or neuron.extraction.vectors.filter(kind=Kind.KEY).exists()
    said = said_of(vector, source=Source.TRIGGER_PREFIXES, user=user)
    other = None if stored or vector else elsewhere(neuron, Kind.KEY)
    sides = _sides(neuron.extraction, stored, said)
    triggers = [one.entry.token for side in sides if not side.is_negative for one in side.triggers]
    machines = machines_said(triggers, prefixes=True)
    return KeyPart(vector, sides, said, has_keys, other, machines)


def _sides(
    extraction: Extraction, stored: dict[str, list[dict[str, Any]]], said: Said
) -> list[TriggerSide]:
    """Both sides on one scale, each with the texts behind its triggers."""
    every = [one for side in stored.values() for one in side]
    tokens = extraction.tokens.filter(token_id__in={one["token_id"] for one in every})
    displays = dict(tokens.values_list("token_id", "display"))
    corpus = extraction.parameters.get("corpus")
    numbers = {one["sentence"] for one in every}
    sentences = corpus_sentences(corpus, numbers) if isinstance(corpus, str) else {}
    largest = max((abs(one["coefficient"]) for one in every), default=0)
    sides = []
    for name in (Side.POSITIVE, Side.NEGATIVE):
        prefixes = stored.get(name, [])
        entries = []
        for rank, one in enumerate(prefixes, 1):
            before, last = cut_before_last_token(one["prefix"], displays.get(one["token_id"]))
            entries.append(ListEntry(rank, last, before=before))
        marks = said.side if name == Side.POSITIVE else SideBySide()
        scores = [one["coefficient"] for one in prefixes]
        triggers = [
            Trigger(entry, one["copies"], _after(one["prefix"], sentences.get(one["sentence"])))
            for entry, one in zip(
                entries_marked(entries, scores, largest, marks), prefixes, strict=True
            )
        ]
        if triggers:
            sides.append(TriggerSide(name == Side.NEGATIVE, triggers))
    return sides


def _after(prefix: str, sentence: str | None) -> str | None:
    """The rest of a sentence behind its prefix; None where it is another sentence.

    An extraction can split the lines of a corpus, and then counts other sentences.
    """
    text = shown(sentence)
    return text.removeprefix(prefix) if sentence and text.startswith(prefix) else None


def _agreement(value: ValuePart, key: KeyPart) -> Agreement | None:
    """Agreement over the positive side, where a positive coefficient adds the value as it is."""
    positive = [side.triggers for side in key.sides if not side.is_negative]
    afters = [one.after for triggers in positive for one in triggers]
    known = [after for after in afters if after is not None]
    if value.vector is None or not afters or len(known) < len(afters):
        return None
    # Without a sign of words that go on, a token does not tell whether a space is before it.
    tokens = value.vector.extraction.tokens
    if not tokens.filter(display__startswith=CONTINUATION).exists():
        return None
    return agreement(known, [entry.token.display for entry in value.top])
