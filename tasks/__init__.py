"""What gets done: one thin Celery task per file, each around a function that takes its services as a value."""
