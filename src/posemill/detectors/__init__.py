"""2D keypoint detectors: one module per method, found by name through the entry points ``posemill.detectors``."""
