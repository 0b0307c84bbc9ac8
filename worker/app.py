"""The Celery application of a worker: `celery -A worker.app worker`, better `python -m worker`."""

from core.work.doorbell import make_celery

app = make_celery()
app.conf.include = ["worker.tasks", "worker.life.reconciler", "worker.life.shutdown"]
