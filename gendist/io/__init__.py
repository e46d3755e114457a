"""Files: written whole or not at all, with provenance; read by one reader per format. Neither torch nor Snakemake."""
