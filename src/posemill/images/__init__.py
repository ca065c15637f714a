"""Container images: what images.yaml names, built from Debian and wheels by Docker or Apptainer."""
