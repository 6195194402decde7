"""What the system costs. Figures are printed, and only broken promises fail."""
