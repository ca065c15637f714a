"""Where the person is: one skeleton and scale per subject, then the root's path in front of each camera."""
