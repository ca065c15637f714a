"""Pictures of what posemill found."""
