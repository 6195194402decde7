"""How the service is run: its image, its monitoring, and the few programs that a start needs."""
