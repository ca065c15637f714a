"""Stages: read, call a method, write. No stage imports another."""
