"""Early exit of a GPT-2 by plain loops: edited models, Counters, SciPy and scikit-learn alone."""

import copy
from collections import Counter

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.preprocessing import StandardScaler


class PlainStates:
    """x, o, m and top tokens at the last position of each text, layer by layer."""

    def __init__(self, model, texts):
        blocks = model.transformer.h
        norm, head = model.transformer.ln_f, model.lm_head
        bare = copy.deepcopy(model)
        bare.transformer.ln_f = torch.nn.Identity()
        self.x, self.o, self.m, self.tops = ([[] for _ in blocks] for _ in range(4))
        with torch.inference_mode():
            for layer, block in enumerate(blocks):
                without = copy.deepcopy(bare)
                for parameter in without.transformer.h[layer].mlp.c_proj.parameters():
                    parameter.zero_()
                for ids in texts:
                    x, after = (last_state(one, ids, layer) for one in (without, bare))
                    m = block.mlp.act(block.mlp.c_fc(block.ln_2(x)))
                    self.x[layer].append(x.double().numpy())
                    self.o[layer].append((after - x).double().numpy())
                    self.m[layer].append(m.double().numpy())
                    self.tops[layer].append(int(head(norm(after)).argmax()))
        self.values = [block.mlp.c_proj.weight.detach().double().numpy() for block in blocks]

    def saturation(self, example):
        tops = [of_layer[example] for of_layer in self.tops]
        return min(i for i in range(len(tops)) if set(tops[i:]) == {tops[-1]})

    def active(self, number):
        """Cluster and sign of m of the 10 largest sub-updates, by layer and example."""
        vectors = np.concatenate(self.values)
        labels = fcluster(linkage(pdist(vectors, "cosine"), "complete"), number, "maxclust")
        found = []
        for own, values, of_layer in zip(
            np.split(labels, len(self.values)), self.values, self.m, strict=True
        ):
            found.append([])
            for m in of_layer:
                sizes = np.abs(m) * np.linalg.norm(values, axis=1)
                order = sorted(range(len(m)), key=lambda i, s=sizes: (-s[i], i))[:10]
                found[-1].append([(own[i], np.sign(m[i])) for i in order])
        return found


def last_state(model, ids, layer):
    out = model(input_ids=torch.tensor([ids, ids]), output_hidden_states=True, use_cache=False)
    return out.hidden_states[layer + 1][0, -1]


def set_overlap(one, other):
    return sum((Counter(one) & Counter(other)).values())


def ordered_overlap(one, other):
    return sum(a[0] == b[0] for a, b in zip(one, other, strict=True))


def exits_at(overlaps, saturated, layer):
    """Whether an example with these overlaps with training examples exits at a layer."""
    found = {}
    for of, at in zip(overlaps, saturated, strict=True):
        if at >= layer:
            found.setdefault(at, []).append(of)
    own, others = found.pop(layer, None), list(found.values())
    if not own or not others:
        return False
    return all(np.mean(own) > np.mean(b) and max(own) > max(b) for b in others)


def rule_exits(active, saturated, split, overlap):
    """The layers at which the tested examples exit."""
    last, exits = len(active) - 1, []
    for example in split.tested:
        for layer in range(last):
            of_layer = active[layer]
            overlaps = [overlap(of_layer[example], of_layer[one]) for one in split.training]
            if exits_at(overlaps, saturated[split.training], layer):
                exits.append(layer)
                break
        else:
            exits.append(last)
    return exits


def classifier_exits(features, saturated, split, *, lasso, grid):
    """The same by a classifier on features, arrays of each layer."""
    last = len(features) - 1
    exits = np.full(len(split.tested), last)
    for layer in reversed(range(last)):
        fit, held = (
            np.array([one for one in part if saturated[one] >= layer])
            for part in (split.fitted, split.held)
        )
        of_fit, of_held = (saturated[part] == layer for part in (fit, held))
        if min(sum(of_fit), sum(~of_fit)) < 8 or not any(of_held):
            continue
        x = np.array(features[layer])
        fires, _, _ = classifier(
            x[fit], of_fit, x[held], of_held, x[split.tested], lasso=lasso, grid=grid
        )
        exits[fires] = layer
    return exits


def classifier(fitted, labels, held, held_labels, tested, *, lasso, grid):
    """Which tested ones are positive, C, and the threshold."""
    scaler = StandardScaler().fit(fitted)
    search = GridSearchCV(
        LogisticRegression(
            l1_ratio=float(lasso), solver="liblinear", class_weight="balanced", tol=0.01,
            max_iter=1000, random_state=0,
        ),
        {"C": grid}, scoring="balanced_accuracy", cv=StratifiedKFold(8),
    ).fit(scaler.transform(fitted), labels)  # fmt: skip
    scores = search.decision_function(scaler.transform(held))
    best = max((f1_score(held_labels, scores >= t), t) for t in scores)[1]
    fires = search.decision_function(scaler.transform(tested)) >= best
    return fires, search.best_params_["C"], best
