"""Evaluation of poses: files for other tools, and failures."""
