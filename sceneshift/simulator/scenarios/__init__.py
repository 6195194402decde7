"""The ways in which the simulated provider can be told to misbehave, and the rules that say when."""
