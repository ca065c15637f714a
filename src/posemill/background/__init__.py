"""How a camera turned and zoomed, told from what stands still behind the people."""
