"""Who is who in a clip, and cleaning of their 2D tracks."""
