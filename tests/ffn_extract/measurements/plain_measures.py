"""Tables of measurements by plain loops over hidden states of edited models, in float64.

Apart from the plain reading it imports only torch, transformers and numpy. Examples and random
vectors are read from a measurement's own files.
"""

import math

import numpy as np
import torch

from tests.ffn_extract.tracing.plain_reading import (
    PlainReading,
    block_of,
    final_norm_of,
    gain_after,
    values_of,
)


class PlainExample:
    """One example's layers at the position read: sub-updates, and scores before and after."""

    def __init__(self, model, ids, draws):
        self.layers = []
        norm, head = final_norm_of(model), model.get_output_embeddings()
        self.rows = head.weight.detach().double()
        for layer, drawn in enumerate(draws):
            plain = PlainReading(model, ids, layer)
            states = torch.stack([plain.before[-1], plain.after[-1]]).float()
            with torch.inference_mode():
                before, after = head(norm(states)).double()
                update = head(norm(plain.update[-1:].float()))[0].double()
            sub = sub_updates(block_of(model, layer), plain)
            sizes = sub.norm(dim=1).tolist()
            order = sorted(range(len(sizes)), key=lambda i, s=sizes: (-s[i], i))
            self.layers.append(
                {"before": before, "after": after, "sub": sub, "sizes": sizes,
                 "dominant": order[:10], "random": drawn, "order": order, "update": update,
                 "m": plain.m[-1], "o": plain.update[-1],
                 "values": values_of(block_of(model, layer))}
            )  # fmt: skip
        self.final = top(self.layers[-1]["after"])

    def saturation(self):
        lasting = [top(one["after"]) == self.final for one in self.layers]
        return min(i for i in range(len(lasting)) if all(lasting[i:]))

    def induced(self):
        layer = self.saturation()
        before = self.layers[layer]["before"]
        return layer < len(self.layers) - 1 and rank(before, self.final) > 1

    def elimination(self, first):
        best, found = 0, -1
        for layer, one in list(enumerate(self.layers))[first:]:
            rise = rank(one["after"], top(one["before"])) - 1
            if rise > best:
                best, found = rise, layer
        return found

    def scores(self, layer, group, token):
        one = self.layers[layer]
        return (one["sub"][one[group]] @ self.rows[token]).tolist()


def sub_updates(block, plain):
    added = plain.m[-1][:, None] * values_of(block) * plain.factor
    after = gain_after(block)
    if after is None:
        return added
    gain, norm = after
    u = added.sum(dim=0, keepdim=True)
    with torch.inference_mode():
        normed = norm(u.float()).double()
    largest = int(u.abs().argmax())
    return added * gain * (normed[0, largest] / (u[0, largest] * gain[largest]))


def top(scores):
    return int((scores == scores.max()).nonzero()[0])


def rank(scores, token):
    own = scores[token]
    return 1 + int((scores > own).sum()) + int((scores[:token] == own).sum())


def contribution(examples):
    """{(layer, group, k): (mean, median)} and {layer: mean effective number}."""
    shares, effective = {}, {}
    for layer in range(len(examples[0].layers)):
        for example in examples:
            one = example.layers[layer]
            total = math.fsum(one["sizes"])
            ordered = [one["sizes"][i] for i in one["order"]]
            for k in range(1, min(100, len(ordered)) + 1):
                share = math.fsum(ordered[:k]) / total
                shares.setdefault((layer, "dominant", k), []).append(share)
            drawn = math.fsum(one["sizes"][i] for i in one["random"]) / total
            shares.setdefault((layer, "random", 10), []).append(drawn)
            p = [size / total for size in one["sizes"] if size]
            effective.setdefault(layer, []).append(math.exp(-math.fsum(x * math.log(x) for x in p)))
    means = {key: (np.mean(some), np.median(some)) for key, some in shares.items()}
    return means, {layer: np.mean(some) for layer, some in effective.items()}


def promotion(examples):
    """{(event, layers, group, statistic): (mean or None, events)}."""
    found = {}
    for event in ("saturation", "elimination"):
        for first, layers in ((0, "all"), (1, "from_1")):
            for group in ("dominant", "random"):
                three = []
                for example in examples:
                    layer, token = event_of(example, event, first)
                    if layer >= 0:
                        scores = example.scores(layer, group, token)
                        three.append((max(scores), np.mean(scores), min(scores)))
                means = np.mean(three, axis=0) if three else (None,) * 3
                for statistic, mean in zip(("max", "mean", "min"), means, strict=True):
                    found[event, layers, group, statistic] = (mean, len(three))
    return found


def event_of(example, event, first):
    if event == "elimination":
        layer = example.elimination(first)
        return layer, top(example.layers[layer]["before"])
    layer = example.saturation()
    return (layer if example.induced() and layer >= first else -1), example.final


def top_candidate(examples, below, above):
    """{(layer, group, extreme, statistic): (mean or None, n)}."""
    found = {}
    for layer in range(len(examples[0].layers)):
        for group in ("dominant", "random"):
            for extreme in ("with", "without"):
                three = []
                for example in examples:
                    scores = example.scores(layer, group, top(example.layers[layer]["before"]))
                    if extreme == "without":
                        scores = [score for score in scores if below <= score <= above]
                    if scores:
                        three.append((max(scores), np.mean(scores), min(scores)))
                means = np.mean(three, axis=0) if three else (None,) * 3
                for statistic, mean in zip(("max", "mean", "min"), means, strict=True):
                    found[layer, group, extreme, statistic] = (mean, len(three))
    return found


def composition(examples):
    """[(active share, composed share or None, n)] by layer, of models without a norm after."""
    found = []
    for layer in range(len(examples[0].layers)):
        shares, composed = [], []
        for example in examples:
            one = example.layers[layer]
            tops = [top(example.rows @ value) for value in one["values"]]
            active = [index for index, m in enumerate(one["m"].tolist()) if m > 0]
            shares.append(len(active) / len(tops))
            if active:
                own = top(example.rows @ one["o"])
                composed.append(all(tops[index] != own for index in active))
        found.append((np.mean(shares), np.mean(composed) if composed else None, len(composed)))
    return found


def residual(examples):
    """[(matches_final, from_x, from_o, both, neither)] by layer."""
    found = []
    for layer in range(len(examples[0].layers)):
        counts = dict.fromkeys(["final", "x", "o", "both", "neither"], 0)
        for example in examples:
            one = example.layers[layer]
            x, o, after = (top(one[name]) for name in ("before", "update", "after"))
            counts["final"] += x == example.final
            of_x, of_o = x == after, o == after
            counts["both" if of_x and of_o else "x" if of_x else "o" if of_o else "neither"] += 1
        found.append([count / len(examples) for count in counts.values()])
    return found
