"""The twin: an articulated person whose motion, image and every keypoint are known exactly."""
