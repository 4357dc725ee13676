"""The page of a trace as its reader may see it, and the JSON of the same."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext

from annotation_site.accounts.models import User
from annotation_site.annotation.lists.entries import token_spelled
from annotation_site.annotation.lists.hidden import Hidden, hidden_from
from annotation_site.annotation.models import Item
from annotation_site.corpus.loading import CONTINUATION
from annotation_site.corpus.models import Extraction, Kind
from annotation_site.corpus.selectors import extractions_ready
from annotation_site.traces.drawing import NEAR, Column, Row, column_of
from annotation_site.traces.labels import Labelled, Labels, Place, labels_of
from annotation_site.traces.models import Trace
from annotation_site.traces.services import trace_content

SPACE = "␣"
NEXT_TOKENS = 5
PUSHED_FIRST = 4
_THRESHOLDS = (1_000, 100, NEAR)


# What of an answer a person may see.


def without_hidden(answer: Mapping[str, Any], hidden: Hidden, weights: str) -> dict[str, Any]:
    """The answer without hidden vectors: neither place nor number nor token of one. Pure.

    `hidden` counts those that are left out of a layer, and `pushed_most_hidden` those over all.
    A trace with a change of a hidden vector has no `changed`, and says so in `changed_hidden`.
    """

    def is_hidden(layer: int, one: Mapping[str, Any]) -> bool:
        return hidden.holds(weights=weights, kind=Kind.VALUE, layer=layer, index=one["index"])

    def seen(traced: Mapping[str, Any]) -> dict[str, Any]:
        layers = []
        for layer in traced["layers"]:
            kept = [one for one in layer["dominant"] if not is_hidden(layer["layer"], one)]
            left_out = len(layer["dominant"]) - len(kept)
            layers.append({**layer, "dominant": kept, "hidden": left_out})
        pushed = [one for one in traced["pushed_most"] if not is_hidden(one["layer"], one)]
        left_out = len(traced["pushed_most"]) - len(pushed)
        return {
            **traced, "layers": layers, "pushed_most": pushed, "pushed_most_hidden": left_out,
        }  # fmt: skip

    found = seen(answer)
    changed = answer.get("changed")
    is_left_out = changed is not None and any(
        is_hidden(one["layer"], one) for one in changed["interventions"]
    )
    found["changed"] = None if changed is None or is_left_out else seen(changed)
    found["changed_hidden"] = is_left_out
    return found


def interventions_seen_by(trace: Trace, hidden: Hidden) -> list[dict[str, Any]]:
    """The interventions of a request; none of them where one is of a hidden vector."""
    found: list[dict[str, Any]] = trace.request.get("interventions", [])
    weights = trace.model.weights_digest
    is_left_out = any(
        hidden.holds(weights=weights, kind=Kind.VALUE, layer=one["layer"], index=one["index"])
        for one in found
    )
    return [] if is_left_out else found


@dataclass(frozen=True)
class Seen:
    """A trace as its reader may see it: the answer, and labels of its vectors."""

    trace: Trace
    answer: dict[str, Any] | None
    labels: Labels
    hidden: Hidden

    def to_json(self) -> dict[str, Any]:
        """The trace with its result and labels, as files and the API have them."""
        trace = self.trace
        answer = self.answer
        if answer is not None:
            answer = self._labelled(answer)
            if answer["changed"] is not None:
                answer["changed"] = self._labelled(answer["changed"])
        return {
            "id": str(trace.public_id),
            "model": trace.model.name,
            "prompt": trace.prompt,
            "request": {
                **trace.request, "interventions": interventions_seen_by(trace, self.hidden),
            },
            "state": trace.state,
            "is_shared": trace.is_shared,
            "created_at": trace.created_at.isoformat(),
            "expires_at": trace.expires_at.isoformat(),
            "result": answer,
        }  # fmt: skip

    def _labelled(self, traced: Mapping[str, Any]) -> dict[str, Any]:
        def labelled(layer: int, one: Mapping[str, Any]) -> dict[str, Any]:
            found = self.labels.of(layer, one["index"])
            said = [label.to_json() for label in found.labels]
            return {**one, "labels": said, "held": found.is_held}

        return {
            **traced,
            "layers": [
                {
                    **layer,
                    "dominant": [labelled(layer["layer"], one) for one in layer["dominant"]],
                }
                for layer in traced["layers"]
            ],
            "pushed_most": [labelled(one["layer"], one) for one in traced["pushed_most"]],
        }


def trace_seen_by(trace: Trace, user: User) -> Seen:
    """A trace as a person may see it: without what is hidden, with the labels they may see."""
    hidden = hidden_from(user)
    if not trace.is_ready:
        return Seen(trace, None, Labels(), hidden)
    weights = trace.model.weights_digest
    answer = without_hidden(trace_content(trace), hidden, weights)
    labels = labels_of(_places(answer), weights=weights, user=user)
    return Seen(trace, answer, labels, hidden)


def _places(answer: Mapping[str, Any]) -> Iterable[Place]:
    for traced in (answer, answer["changed"]):
        if traced is not None:
            for layer in traced["layers"]:
                yield from ((layer["layer"], one["index"]) for one in layer["dominant"])
            yield from ((one["layer"], one["index"]) for one in traced["pushed_most"])


# How tokens are written.


def spelled(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The answer with tokens as a prompt has them: a leading space is visible. Pure.

    Elsewhere on the site a piece that goes on with a word is marked instead; a prompt is read from
    left to right, so here the space is. Tokens of the continuation have their `text` too.
    """
    marked = any(
        text.startswith(CONTINUATION)
        for layer in answer["layers"]
        for text in (
            *(one["token"] for one in layer["before"]),
            *(text for one in layer["dominant"] for text in one["tokens"]),
        )
    )

    def write(text: str) -> str:
        if not marked:
            return text
        if text.startswith(CONTINUATION):
            return text.removeprefix(CONTINUATION)
        is_sign = text[:1] in (SPACE, "\\") or (text[:1] == "<" and text[-1:] == ">")
        starts = not is_sign and any(map(str.isalnum, text))
        return SPACE + text if starts else text

    def one(value: Any) -> Any:
        if isinstance(value, list):
            return [one(each) for each in value]
        if not isinstance(value, dict):
            return value
        found = {name: one(each) for name, each in value.items()}
        if isinstance(found.get("token"), str):
            found["token"] = write(found["token"])
            found["text"] = token_spelled(found["token"])
        if "tokens" in found:
            found["tokens"] = [write(text) for text in found["tokens"]]
        return found

    whole: dict[str, Any] = one(answer)
    return whole


# What the page shows.


@dataclass(frozen=True)
class SubUpdate:
    """A row of a layer's largest sub-updates; widths are in per cent of the longest bar."""

    layer: int
    index: int
    coefficient: float
    share: float
    push: float
    is_lowest: bool
    tokens: list[str]
    labelled: Labelled
    share_width: float
    push_width: float
    is_chosen: bool

    @property
    def name(self) -> str:
        """As "24.1005": layer and index."""
        return f"{self.layer}.{self.index}"

    @property
    def push_left(self) -> float:
        """Where the bar of the push begins, in per cent; 50 is no push."""
        return 50.0 if self.push >= 0 else round(50.0 - self.push_width / 2, 1)

    @property
    def push_bar(self) -> float:
        """The length of the bar of the push, of a half of 50."""
        return round(self.push_width / 2, 1)


@dataclass(frozen=True)
class LayerRow:
    """A row of the column. `probability` is that of the followed token after the layer, if it is
    among the ten.
    """

    layer: int
    drawn: Row
    top_before: str
    top_after: str
    repeats_before: bool
    repeats_after: bool
    is_top: bool
    rank: int
    rank_before: int
    probability: float | None
    ffn_push: float
    attention_push: float
    is_open: bool

    @property
    def is_near(self) -> bool:
        """Whether the rank stands out."""
        return self.rank <= NEAR


@dataclass(frozen=True)
class Panel:
    """The part beside the column: a layer's sub-updates, or those that pushed most overall."""

    layer: int | None
    before: list[dict[str, Any]]
    after: list[dict[str, Any]]
    rows: list[SubUpdate]
    hidden: int
    earlier: int | None
    later: int | None

    @property
    def share(self) -> float:
        """The share of those that are shown, together."""
        return sum(row.share for row in self.rows)


@dataclass(frozen=True)
class Change:
    """A line of the form that changes a vector; `was` is its coefficient, where it is known."""

    layer: int
    index: int
    action: str
    value: str
    from_position: int
    was: float | None

    @property
    def name(self) -> str:
        """As "24.1005"."""
        return f"{self.layer}.{self.index}"


@dataclass(frozen=True)
class Next:
    """A token that could come next; `width` in per cent."""

    rank: int
    token: str
    probability: float
    is_followed: bool

    @property
    def width(self) -> float:
        return round(100 * self.probability, 1)


@dataclass(frozen=True)
class Side:
    """One of the two panes: what is said without or with the changes."""

    continuation: list[str]
    differs_at: int | None
    next_tokens: list[Next]


@dataclass(frozen=True)
class Look:
    """The choices of a page's address: the open layer (None: the page's own choice, −1: those
    over all layers), the order, and the vectors to change.
    """

    layer: int | None = None
    order: str = "size"
    changes: Sequence[Mapping[str, Any]] = ()


OVERALL = -1


@dataclass(frozen=True)
class TracePage:
    """Everything that the page of a ready trace shows to one reader."""

    seen: Seen
    answer: dict[str, Any]
    column: Column
    rows: list[LayerRow]
    sentence: str
    panel: Panel
    pushed_first: list[SubUpdate]
    changes: list[Change]
    sides: tuple[Side, Side] | None
    fell: str
    extraction: Extraction | None
    order: str = "size"
    parts: list[tuple[str, float]] = field(default_factory=list)

    @property
    def looked_at(self) -> list[Item]:
        """Lists of the reader's own studies whose labels the page shows for the first time."""
        shown = {(row.layer, row.index) for row in self.panel.rows}
        return [item for place, item in self.seen.labels.looked_at if place in shown]


def trace_page(seen: Seen, look: Look) -> TracePage:
    """The page of a ready trace."""
    assert seen.answer is not None  # noqa: S101  # of a ready trace
    answer = spelled(seen.answer)
    changed = answer["changed"]
    token = answer["token"]
    first = min((one["layer"] for one in changed["interventions"]), default=0) if changed else 0
    column = column_of(answer["layers"], changed["layers"] if changed else (), first)
    chosen = {(int(one["layer"]), int(one["index"])) for one in look.changes}
    make = _Rows(answer, seen.labels, chosen)
    pushed = [make.of(one["layer"], one) for one in answer["pushed_most"]]
    layer = (
        look.layer if look.layer is not None else _open_layer(answer, first if changed else None)
    )
    layer = min(layer, len(answer["layers"]) - 1)
    panel = _panel(answer, layer, make, pushed, look.order)
    return TracePage(
        seen=seen,
        answer=answer,
        column=column,
        rows=_layer_rows(answer, column, layer),
        sentence=sentence_of(answer["layers"], token),
        panel=panel,
        pushed_first=pushed[:PUSHED_FIRST],
        changes=[_change(one, make) for one in look.changes],
        sides=_sides(answer) if changed else None,
        fell=_fell(answer) if changed else "",
        extraction=_extraction(seen.trace),
        order=look.order,
        parts=list(answer["parts"].items()),
    )


def _open_layer(answer: Mapping[str, Any], changed: int | None) -> int:
    """The layer that is open at first: a changed one, or that of the largest push."""
    if changed is not None:
        return changed
    pushed = answer["pushed_most"]
    return int(pushed[0]["layer"]) if pushed else len(answer["layers"]) - 1


class _Rows:
    """Makes rows whose bars share one scale over the whole trace."""

    def __init__(self, answer: Mapping[str, Any], labels: Labels, chosen: set[Place]) -> None:
        every = [
            *(one for layer in answer["layers"] for one in layer["dominant"]),
            *answer["pushed_most"],
        ]
        self._share = max((one["share"] for one in every), default=0.0) or 1.0
        self._push = max((abs(one["push"]) for one in every), default=0.0) or 1.0
        self._labels, self._chosen = labels, chosen
        self._coefficients = {
            (layer["layer"], one["index"]): one["coefficient"]
            for layer in answer["layers"]
            for one in layer["dominant"]
        } | {(one["layer"], one["index"]): one["coefficient"] for one in answer["pushed_most"]}

    def of(self, layer: int, one: Mapping[str, Any]) -> SubUpdate:
        """The row of a sub-update."""
        return SubUpdate(
            layer=layer,
            index=one["index"],
            coefficient=one["coefficient"],
            share=one["share"],
            push=one["push"],
            is_lowest=one["side"] == "lowest",
            tokens=one["tokens"],
            labelled=self._labels.of(layer, one["index"]),
            share_width=round(100 * one["share"] / self._share, 1),
            push_width=round(100 * abs(one["push"]) / self._push, 1),
            is_chosen=(layer, one["index"]) in self._chosen,
        )

    def was(self, layer: int, index: int) -> float | None:
        """The coefficient of a vector, where the trace has it."""
        return self._coefficients.get((layer, index))


def _panel(
    answer: Mapping[str, Any], layer: int, make: _Rows, pushed: list[SubUpdate], order: str
) -> Panel:
    last = len(answer["layers"]) - 1
    if layer == OVERALL:
        return Panel(None, [], [], pushed, answer["pushed_most_hidden"], None, None)
    one = answer["layers"][layer]
    rows = [make.of(layer, sub_update) for sub_update in one["dominant"]]
    if order == "push":
        rows.sort(key=lambda row: -abs(row.push))
    return Panel(
        layer, one["before"], one["after"], rows, one["hidden"],
        layer - 1 if layer else None, layer + 1 if layer < last else None,
    )  # fmt: skip


def _layer_rows(answer: Mapping[str, Any], column: Column, open_layer: int) -> list[LayerRow]:
    rows: list[LayerRow] = []
    token = answer["token"]
    last = len(answer["layers"]) - 1
    above = ""
    for layer, drawn in zip(answer["layers"], column.rows, strict=True):
        before = layer["before"][0]["token"] if layer["before"] else ""
        after = layer["after"][0]["token"] if layer["after"] else ""
        number = layer["layer"]
        probability = _probability(layer["after"], token["token_id"])
        rows.append(
            LayerRow(
                layer=number,
                drawn=drawn,
                top_before=before,
                top_after=after,
                repeats_before=bool(rows) and before == above,
                repeats_after=after == before,
                is_top=layer["rank_after"] == 1,
                rank=layer["rank_after"],
                rank_before=layer["rank_before"],
                probability=token["probability"] if number == last else probability,
                ffn_push=layer["ffn_push"],
                attention_push=layer["attention_push"],
                is_open=number == open_layer,
            )
        )
        above = after
    return rows


def _probability(tokens: Sequence[Mapping[str, Any]], token_id: int) -> float | None:
    return next((one["probability"] for one in tokens if one["token_id"] == token_id), None)


def sentence_of(layers: Sequence[Mapping[str, Any]], token: Mapping[str, Any]) -> str:
    """The way of a token's rank in one sentence, to be read behind the token and a colon.

    It names the layer before the rank stays below each of 1,000, 100 and 10, and the one after
    which it stays what it is in the end.
    """
    ranks = [one["rank_after"] for one in layers]
    last = len(ranks) - 1
    final = ranks[last]
    stays = [_stays_within(ranks, most) for most in _THRESHOLDS if most > final]
    named = sorted({layer for layer in stays if layer is not None} | {_stays_within(ranks, final)})
    if named[0] > 0:
        named.insert(0, named[0] - 1)
    said = []
    for number, layer in enumerate(named):
        values = {"rank": f"{ranks[layer]:,}", "layer": layer}
        if number == 0:
            first, other = (
                gettext("first after layer %(layer)s"),
                gettext("rank %(rank)s after layer %(layer)s"),
            )
        else:
            first, other = gettext("first after %(layer)s"), gettext("%(rank)s after %(layer)s")
        said.append((first if ranks[layer] == 1 else other) % values)
    before, after = (
        _probability(layers[named[-1]][name], token["token_id"]) for name in ("before", "after")
    )
    if named[-1] == last:
        after = token["probability"]
    whole = ", ".join(said)
    if before is None or after is None:
        return gettext("%(ranks)s.") % {"ranks": whole}
    return gettext("%(ranks)s, whose FFN takes it from %(before)s to %(after)s.") % {
        "ranks": whole, "before": percent(before), "after": percent(after),
    }  # fmt: skip


def _stays_within(ranks: Sequence[int], most: int) -> int:
    """The first layer after which the rank is at most some number until the end."""
    found = len(ranks) - 1
    while found and ranks[found - 1] <= most:
        found -= 1
    return found


def percent(value: float) -> str:
    """A probability: 77%, 6.5%, <0.1%."""
    if 0 < value < 0.0005:
        return "<0.1%"
    return f"{100 * value:.0f}%" if value >= 0.0995 else f"{100 * value:.1f}%"


def _change(one: Mapping[str, Any], make: _Rows) -> Change:
    layer, index = int(one["layer"]), int(one["index"])
    value = one.get("value", -1)
    return Change(
        layer, index, str(one.get("action", "scale")),
        value if isinstance(value, str) else f"{value:g}",
        int(one.get("from_position", 0)), make.was(layer, index),
    )  # fmt: skip


def _sides(answer: Mapping[str, Any]) -> tuple[Side, Side]:
    changed = answer["changed"]
    differs_at = changed["first_difference"]
    followed = answer["token"]["token_id"]
    return (
        _side(answer, differs_at, followed),
        _side(changed, differs_at, followed),
    )


def _side(traced: Mapping[str, Any], differs_at: int | None, followed: int) -> Side:
    last = traced["layers"][-1]
    shown = [
        Next(rank, one["token"], one["probability"], one["token_id"] == followed)
        for rank, one in enumerate(last["after"][:NEXT_TOKENS], 1)
    ]
    if not any(one.is_followed for one in shown):
        token = traced["token"]
        shown = [
            *shown[: NEXT_TOKENS - 1],
            Next(last["rank_after"], token["token"], token["probability"], True),
        ]
    return Side([one["text"] for one in traced["continuation"]], differs_at, shown)


def _fell(answer: Mapping[str, Any]) -> str:
    """The change of the followed token's rank, to be read behind the token."""
    before = answer["layers"][-1]["rank_after"]
    after = answer["changed"]["layers"][-1]["rank_after"]
    values = {"before": f"{before:,}", "after": f"{after:,}"}
    if before == after:
        return gettext("keeps rank %(after)s.") % values
    if after > before:
        return gettext("falls from rank %(before)s to %(after)s.") % values
    return gettext("rises from rank %(before)s to %(after)s.") % values


def _extraction(trace: Trace) -> Extraction | None:
    """The extraction whose pages of neurons are linked: the newest with the same weights."""
    alike = extractions_ready().filter(model__weights_digest=trace.model.weights_digest)
    return alike.order_by("-pk").first()
