"""Own data: from a file that somebody has to a study that runs."""
