"""File formats, atomic writes, checksums and provenance; imports neither torch nor Snakemake."""
