"""holdfast.leaderboard: the public site, built from the registry of entries."""
