"""Students stage: distils one-megabyte CNNs over pretrained subword embeddings."""
