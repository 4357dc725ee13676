"""Agreement of keys and values by plain loops over every coefficient of every sentence.

Apart from the plain reading it imports only torch, transformers and the standard library.
"""

from statistics import mean, median

from tests.ffn_extract.tracing.plain_reading import PlainReading, block_of, values_of


def agreement(model, texts, layer):
    """A layer's row of agreement.csv behind the layer, from texts as token ids, without a BOS."""
    rows = model.get_output_embeddings().weight.detach().double()
    scores = (values_of(block_of(model, layer)) @ rows.T).tolist()
    m = [PlainReading(model, ids, layer).m.T.tolist() for ids in texts]
    tops, nexts, ranks, precisions, undefined = [], [], [], [], 0
    for index, own in enumerate(scores):
        top = own.index(max(own))
        following = triggers(texts, [one[index] for one in m])
        if not following or following[0] is None:
            undefined += 1
            continue
        first = following[0]
        tops.append(top)
        nexts.append(first)
        higher = sum(score > own[first] for score in own)
        ranks.append(1 + higher + sum(score == own[first] for score in own[:first]))
        known = [one for one in following if one is not None]
        precisions.append(mean(one == top for one in known))
    agrees = mean(a == b for a, b in zip(tops, nexts, strict=True))
    chance = mean(a == b for a in tops for b in nexts)
    return (
        len(tops), undefined, agrees, chance, mean(ranks), median(ranks), mean(precisions)
    )  # fmt: skip


def triggers(texts, m):
    """The tokens after a key's triggers, best first; None behind the end of a text."""
    found = {}
    for number, (ids, own) in enumerate(zip(texts, m, strict=True)):
        rounded = [float(f"{one:.4e}") for one in own[1:]]
        position = 1 + rounded.index(max(rounded))
        if own[position] > 0:
            following = ids[position + 1] if position + 1 < len(ids) else None
            entry = (-rounded[position - 1], number, following)
            found.setdefault(tuple(ids[: position + 1]), entry)
    return [following for *_, following in sorted(found.values(), key=lambda one: one[:2])[:50]]
