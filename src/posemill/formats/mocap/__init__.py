"""Motion capture of animation software to h36m17 joints with feet, in metres, z up, floor at 0.

``sources``
    Which skeletons are known, and as data what each needs: unit, rest pose at the start, joints, repairs.
``capture``
    Reads a BVH or ASF/AMC file and says which source it is of.
``body``
    Joints, feet, floor and frame rate of a capture.
"""

from posemill.formats.mocap.body import Body, body_of
from posemill.formats.mocap.capture import Capture, read_capture

__all__ = ["Body", "Capture", "body_of", "read_capture"]
