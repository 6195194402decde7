"""Deterministic simulation: the real code in a world whose time, messages, servers and accidents come from one seed.

What is real: the tasks, called through Celery's own tracer; messages as Celery writes and reads them; the Lua scripts;
redis-py, httpx and the provider's client; the keepers that run beside the tasks. What is simulated: the clock, the
servers behind the clients, and which of several workers goes on next. `world` puts a run together, `plan` draws its
faults, and `tests.checkers` judges it. `python -m tests.faults --help` replays, searches and counts.
"""
