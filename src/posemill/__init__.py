"""posemill: from videos of a moving person to 3D animation in world coordinates."""
