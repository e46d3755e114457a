"""Logits: the teacher's scores of real rows and of every shard."""
