# Two images from one file: `web` carries no torch, `worker` everything; `kernel` only compiles for
# the worker. The base image is named by its whole version; docs/deploying.md says how to pin it by
# digest.
ARG PYTHON_IMAGE=python:3.12.11-slim-bookworm
FROM ${PYTHON_IMAGE} AS web
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 VAR_DIR=/var/lib/ffn-concepts
WORKDIR /app
COPY requirements requirements
RUN pip install --no-cache-dir --require-hashes -r requirements/locked/web.txt
COPY manage.py ./
COPY ffn_extract ffn_extract
COPY annotation_site annotation_site
RUN python annotation_site/languages.py && python -m compileall -q annotation_site ffn_extract
# By number, so that whatever runs the image can see that this is not root; it is the one that a
# volume of an earlier version belongs to.
RUN groupadd --gid 999 app && useradd --uid 999 --gid 999 --create-home --home-dir $VAR_DIR app
USER 999:999
CMD ["gunicorn", "annotation_site.wsgi", "--bind", "0.0.0.0:8000", "--workers", "2", "--worker-class", "annotation_site.web_worker.Worker", "--threads", "2", "--timeout", "900", "--keep-alive", "75", "--forwarded-allow-ips", "", "--no-control-socket"]

# A compiler is in no image that runs.
FROM ${PYTHON_IMAGE} AS kernel
RUN apt-get update && apt-get install -y --no-install-recommends g++
COPY ffn_extract ffn_extract
RUN python ffn_extract/projection/native/building.py

FROM web AS worker
USER root
COPY --from=kernel /ffn_extract/projection/native ffn_extract/projection/native
RUN pip install --no-cache-dir --require-hashes -r requirements/locked/extract.txt \
 && pip install --no-cache-dir -r requirements/torch.txt
USER 999:999
CMD ["celery", "--app", "annotation_site", "worker", "--concurrency", "2", "--loglevel", "INFO"]
