"""Who does it: the Celery app and what every worker process runs beside its tasks."""
