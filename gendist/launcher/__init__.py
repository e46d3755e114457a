"""Runs the workflow with Snakemake, displays its progress, and reports its status."""
