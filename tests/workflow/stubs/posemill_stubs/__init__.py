"""Methods that compute nothing hard, for tests of the workflow."""
