"""Synthetic texts: sampled from the finetuned generator in shards of a growing pool."""
