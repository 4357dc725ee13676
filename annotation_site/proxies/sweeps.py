"""Sweep of proxies: release the claims of dead workers, and tell studies what is known."""

import logging

from annotation_site.proxies.models import ProxyRun
from annotation_site.proxies.services import proxy_fail, studies_tell
from annotation_site.workers.claims import give_back

log = logging.getLogger(__name__)
State = ProxyRun.State


def proxies_sweep() -> None:
    """Release runs of dead workers, and notice extractions that came or went; safe in many workers
    at once.
    """
    proxies_give_back()
    studies_tell()


def proxies_give_back() -> None:
    """Release runs of dead workers; the layers that are done stay."""
    running = ProxyRun.objects.filter(state=State.RUNNING)
    for run in give_back(running, fail=proxy_fail, state=State.QUEUED):
        log.warning("Proxy %s waits again: its worker sends no heartbeat", run.public_id)
