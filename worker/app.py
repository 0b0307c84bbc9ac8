"""The Celery application of a worker: `celery -A worker.app worker`, better `python -m worker`."""

from core.broker import make_celery

app = make_celery()
app.conf.include = ["worker.tasks", "worker.reconciler", "worker.farewell"]
