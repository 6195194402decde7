"""Flower's configuration file lives here; Flower reads it by path."""
