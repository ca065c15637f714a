"""A person who stands in front of the camera."""

import numpy as np

STANDING = np.array(
    [
        [0, 0, 0],
        [-0.13, 0, 0],
        [-0.13, 0.44, 0],
        [-0.13, 0.87, 0],
        [0.13, 0, 0],
        [0.13, 0.44, 0],
        [0.13, 0.87, 0],
        [0, -0.23, 0],
        [0, -0.48, 0],
        [0, -0.57, 0],
        [0, -0.68, 0],
        [0.15, -0.45, 0],
        [0.25, -0.2, 0],
        [0.25, 0.05, 0],
        [-0.15, -0.45, 0],
        [-0.25, -0.2, 0],
        [-0.25, 0.05, 0],
    ]
)


def projected(width, height, depth_m):
    """(17, 2) px of the standing person seen by the prior camera."""
    focal = max(width, height)
    xy = STANDING[:, :2] / (STANDING[:, 2:] + depth_m)
    return xy * focal + [(width - 1) / 2, (height - 1) / 2]
