"""Logits stage: scores real rows and synthetic shards with the teacher."""
