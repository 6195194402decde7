"""The demonstration: the whole system on embedded parts, with a small catalogue."""
