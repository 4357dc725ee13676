"""A proxy in a worker: a machine annotator over the list of every value vector, layer by layer.

The values of a layer are kept when the layer is done. A worker that takes over continues with the
next layer.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from django.utils.translation import gettext_noop
from numpy.typing import NDArray

from annotation_site.analysis.machine_annotators import (
    MACHINE_ANNOTATORS,
    MachineAnnotator,
    SynsetLookup,
)
from annotation_site.corpus.censuses import sizes_of_lists
from annotation_site.corpus.loading import CONTINUATION
from annotation_site.corpus.models import Extraction, Kind, Token, Vector
from annotation_site.errors import SiteError
from annotation_site.proxies import services
from annotation_site.proxies.models import ProxyRun
from annotation_site.sentences import Sentence
from annotation_site.workers.claims import ProgressReporter, working
from ffn_extract.errors import WordNetError

CHUNK = 500  # vectors that are read at once
NO_WORDNET = gettext_noop(
    "The worker does not have WordNet, which this proxy needs. Run `python -m ffn_extract "
    "fetch-wordnet` on its machine, or install the packages wordnet-base and wordnet-sense-index, "
    "then compute the proxy again."
)
CHANGED = gettext_noop(
    "The lists of the extraction changed while the proxy was computed. Compute it again."
)


def proxy_work(*, run_id: int, in_worker: bool = True) -> None:
    """Do a waiting run; does nothing if it is no longer waiting."""
    run = services.proxy_claim(run_id=run_id, in_worker=in_worker)
    if run is not None:
        with working(run, fail=services.proxy_fail):
            compute(run)


def compute(run: ProxyRun) -> None:
    """Compute the layers that a claimed run lacks, and mark it as ready.

    Raises SiteError where the extraction does not have every value vector, or the worker no
    WordNet; ClaimLost if the claim is lost.
    """
    annotator = MACHINE_ANNOTATORS[services.proxy_named(run.proxy).annotator]
    sizes = sizes_of_lists(run.extraction)
    wordnet = _wordnet() if annotator.needs_wordnet else None
    kept = services.layers_done(run)
    done = sum(size for layer, size in sizes.items() if layer in kept)
    total = run.total = sum(sizes.values())
    write = ProgressReporter(
        lambda _step, done, total: services.proxy_report(run=run, done=done, total=total)
    )
    write("", done, total)
    words = _words(run.extraction)
    for layer, size in sizes.items():
        if layer in kept:
            continue
        values = layer_values(
            run.extraction,
            layer,
            size,
            coverage=lambda ids: _coverage(annotator, words, ids, run.min_tokens, wordnet),
            report=lambda n, before=done: write("", before + n, total),  # type: ignore[misc]
        )
        services.proxy_keep_layer(run=run, layer=layer, values=values)
        done += size
    services.proxy_finish(run=run)


def layer_values(
    extraction: Extraction,
    layer: int,
    size: int,
    *,
    coverage: Callable[[Sequence[int]], float],
    report: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """The proxy of each vector of a layer, in the order of their indices.

    Raises SiteError where the vectors are not those of 0 to `size` − 1.
    """
    rows = Vector.objects.filter(extraction=extraction, kind=Kind.VALUE, layer=layer)
    values = np.empty(size, dtype=np.float32)
    for start in range(0, size, CHUNK):
        end = min(start + CHUNK, size)
        # In chunks of their own: an open cursor would keep the database from cleaning up.
        found = list(
            rows.filter(index__gte=start, index__lt=end)
            .order_by("index")
            .values_list("index", "token_ids")
        )
        if [index for index, _ in found] != list(range(start, end)):
            raise SiteError(Sentence(CHANGED))
        values[start:end] = [coverage(ids) for _, ids in found]
        report(end)
    return values


def _coverage(
    annotator: MachineAnnotator,
    words: Mapping[int, str],
    token_ids: Sequence[int],
    min_tokens: int,
    wordnet: SynsetLookup | None,
) -> float:
    """The share of a list's tokens in a pattern of the machine annotator."""
    if not token_ids:
        return 0.0
    entries = [words[token_id] for token_id in token_ids]
    ranks = {
        rank for found in annotator.propose(entries, min_tokens, wordnet) for rank in found.ranks
    }
    return len(ranks) / len(token_ids)


def _words(extraction: Extraction) -> dict[int, str]:
    """The tokens of an extraction as machine annotators read them, by their ids."""
    rows = Token.objects.filter(extraction=extraction).values_list("token_id", "display")
    return {token_id: display.removeprefix(CONTINUATION) for token_id, display in rows}


def _wordnet() -> Any:
    """Opened WordNet. Raises SiteError where the worker has none."""
    try:
        from ffn_extract.wordnet import open_wordnet

        return open_wordnet()
    except (WordNetError, ModuleNotFoundError) as error:  # a site can be installed without nltk
        raise SiteError(Sentence(NO_WORDNET)) from error
