"""Parts that a demonstration or a test owns: servers and workers as child processes that cannot outlive it."""
