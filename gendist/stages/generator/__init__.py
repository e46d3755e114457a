"""Generator: a causal language model finetuned on the real texts, labels unseen unless it is conditional."""
