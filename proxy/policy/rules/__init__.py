"""Every rule of a policy: a new one is a file here, a key in `policy.settings` and a row of `reasons`."""
