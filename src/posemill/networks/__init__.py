"""Networks as ``torch.nn.Module`` and the array maths of their inputs; no files."""
