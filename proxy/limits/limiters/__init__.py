"""Ways to limit a rate, one file each."""
