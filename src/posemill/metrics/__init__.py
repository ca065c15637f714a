"""Measures of how far a result is from the truth; pure functions of arrays."""
