"""What is made of poses and the truth: files for others, and failures."""
