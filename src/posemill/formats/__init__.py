"""Files: posemill's own artifacts and every foreign format, one module each."""
