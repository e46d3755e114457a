"""Generator: a causal language model finetuned on the real texts; a conditional one also sees the labels."""
