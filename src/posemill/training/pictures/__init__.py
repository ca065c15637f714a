"""Learning 2D joints from pictures: drawn figures, painted in many ways, or photographs with annotations."""
