"""Metric depth networks: how far away the surface is that a pixel shows."""
