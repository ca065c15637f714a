"""Lifters: 2D keypoints of one clip to root-relative 3D, one small module per method."""
