"""The report of a training run: page, charts and pictures."""
