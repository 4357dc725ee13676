"""The Celery app, the worker's entry point: `celery -A annotation_site worker`.

A message only wakes a worker. Each task takes an id, claims the row in the database and may be
delivered twice, late or never; `SWEEPS` find what a lost message or a dead worker left behind.
"""

import logging
import os
from typing import Any

from celery import Celery
from celery.signals import (
    before_task_publish,
    task_postrun,
    task_prerun,
    worker_init,
    worker_ready,
    worker_shutting_down,
)
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from kombu import Exchange, Queue

from annotation_site.logs import request_id
from annotation_site.orphans import forks_end_with_this_process, stop_in_time
from annotation_site.private_files import keep_files_private
from annotation_site.workers.identity import this_worker
from annotation_site.workers.memory import release
from annotation_site.workers.queues import EXTRACTION_QUEUE, RESULTS_QUEUE

log = logging.getLogger("annotation_site.requests")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "annotation_site.settings")

# Run by one worker at a time, every few seconds; each must be safe to run at once in many.
SWEEPS = (
    "annotation_site.corpus.sweeps.extractions_sweep",
    "annotation_site.corpus.postings.postings_sweep",
    "annotation_site.measurements.sweeps.measurements_sweep",
    "annotation_site.traces.sweeps.traces_sweep",
    "annotation_site.proxies.sweeps.proxies_sweep",
    "annotation_site.machine_annotators.sweeps.machine_runs_sweep",
    "annotation_site.annotation.allocation.slots.leases_sweep",
    "annotation_site.annotation.crowd.joining.crowd_sweep",
    "annotation_site.annotation.review.training.silent_scores_sweep",
    "annotation_site.annotation.monitoring.events.study_events_sweep",
    "annotation_site.results.snapshots.services.snapshots_sweep",
    "annotation_site.results.files.jobs.exports_sweep",
    "annotation_site.results.files.deletion.deletions_sweep",
    "annotation_site.public.services.publications_sweep",
    "annotation_site.data_sets.services.data_sets_sweep",
    "annotation_site.operations.tidy.tidy_daily",
)


def _broker() -> dict[str, Any]:
    if settings.REDIS_URL:
        return {
            "broker_url": settings.REDIS_URL,
            "broker_transport_options": {
                "global_keyprefix": settings.QUEUE_PREFIX,
                "max_retries": 0,  # of a web request; the worker's own connection retries for ever
                "socket_connect_timeout": 2,
            },
        }
    return {
        "broker_url": "filesystem://localhost//",
        "broker_transport": "annotation_site.workers.queue_files:Transport",
        "broker_transport_options": {
            "folder": str(settings.VAR_DIR / "queue" / "messages"),
            "polling_interval": 0.2,  # seconds until an idle worker looks again
        },
    }


try:
    settings.REDIS_URL  # noqa: B018  (the first that is read, where celery's own command starts)
except ImproperlyConfigured as error:
    raise SystemExit(str(error)) from None
if settings.REDIS_URL:  # 20 MB that no other queue needs
    from annotation_site.workers.redis_queue import let_go_of_what_redis_forgot

app = Celery("annotation_site")
app.conf.update(
    **_broker(),
    task_queues=[
        Queue(name, Exchange(name), routing_key=name) for name in (RESULTS_QUEUE, EXTRACTION_QUEUE)
    ],
    task_default_queue=RESULTS_QUEUE,
    task_routes={
        f"annotation_site.{stage}.tasks.*": {"queue": EXTRACTION_QUEUE}
        for stage in ("corpus", "measurements", "traces", "proxies", "machine_annotators")
    },
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    worker_prefetch_multiplier=1,  # a killed worker loses what it had fetched
    worker_hijack_root_logger=False,
    worker_send_task_events=False,
    worker_enable_remote_control=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    task_publish_retry=False,  # the database holds the truth; the sweep finds what was not sent
    # torch keeps its memory; a fresh child after a while gives it back.
    worker_max_tasks_per_child=200,
)
app.autodiscover_tasks(
    [
        f"annotation_site.{stage}"
        for stage in (
            "corpus", "measurements", "results", "traces", "public", "proxies",
            "machine_annotators", "data_sets",
        )
    ],
    related_name="tasks",
)  # fmt: skip


@before_task_publish.connect
def _send_request_id(headers: dict[str, Any], **_: Any) -> None:
    headers["request_id"] = request_id.get()


@task_prerun.connect
def _take_request_id(task: Any, **_: Any) -> None:
    request_id.set(getattr(task.request, "request_id", None) or "-")
    log.info("begins %s", task.name)


@task_postrun.connect
def _release_memory(**_: Any) -> None:
    release()


@task_postrun.connect
def _wake_for_the_next(task: Any, **_: Any) -> None:
    from annotation_site.workers.claims import wake

    wake(app.amqp.router.route({}, task.name)["queue"].name)


@worker_init.connect
def _prepare_worker(**_: Any) -> None:
    keep_files_private()
    this_worker()  # before the first child is forked
    forks_end_with_this_process()
    if settings.REDIS_URL:
        let_go_of_what_redis_forgot()


def prepare_to_send() -> None:
    """Import at the start what sending a message needs, without a connection; otherwise the first
    submission in each web process waits for the imports.
    """
    app.loader.import_default_modules()
    app.amqp.router  # noqa: B018
    with app.connection_for_write() as connection:
        connection.transport  # noqa: B018


@worker_ready.connect
def _start_heartbeat(sender: Any, **_: Any) -> None:
    from annotation_site.workers import heartbeat

    taken = app.amqp.queues.consume_from
    heartbeat.start(
        [import_string(name) for name in SWEEPS],
        extracts=EXTRACTION_QUEUE in taken,
        tasks_at_once=sender.pool.num_processes if RESULTS_QUEUE in taken else 0,
    )


@worker_shutting_down.connect
def _stop_heartbeat(**_: Any) -> None:
    from annotation_site.workers import heartbeat

    stop_in_time()
    heartbeat.stop()
