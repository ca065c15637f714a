"""Training of lifters from motion capture seen through virtual cameras."""
