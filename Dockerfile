# Two images from one file: `web` carries no torch, `worker` everything.
FROM python:3.12-slim AS web
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 VAR_DIR=/var/lib/ffn-concepts
WORKDIR /app
COPY requirements.txt ./
COPY requirements requirements
RUN pip install --no-cache-dir -r requirements/web.txt
COPY manage.py ./
COPY ffn_extract ffn_extract
COPY annotation_site annotation_site
RUN useradd --system --create-home --home-dir $VAR_DIR app
USER app
CMD ["sh", "-c", "python manage.py migrate && python manage.py collectstatic --noinput -v0 && exec gunicorn annotation_site.wsgi --bind 0.0.0.0:8000 --workers 2 --threads 2 --timeout 900 --keep-alive 75 --forwarded-allow-ips '' --no-control-socket"]

FROM web AS worker
USER root
RUN pip install --no-cache-dir -r requirements/extract.txt
USER app
CMD ["celery", "--app", "annotation_site", "worker", "--concurrency", "2", "--loglevel", "INFO"]
