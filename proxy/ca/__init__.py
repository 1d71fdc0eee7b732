"""A certificate authority for a small team or a laptop: files in a directory, keys for their owner's eyes only."""
