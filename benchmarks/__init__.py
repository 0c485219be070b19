"""What the program costs, as ratios against a baseline of the same run."""
