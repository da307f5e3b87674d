"""The page on a training run, its charts and pictures."""
