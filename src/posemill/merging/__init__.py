"""One animation at one scale: the normalised pose on the root's path, in the world where its place is known."""
