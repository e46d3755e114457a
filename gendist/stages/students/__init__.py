"""Students: one-megabyte CNNs over pretrained subword embeddings, and their distillation."""
