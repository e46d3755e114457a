"""The report that one hands to a colleague: one HTML page that needs nothing else."""
