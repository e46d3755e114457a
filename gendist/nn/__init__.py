"""Neural networks: devices, pretrained models, int8 inference, the embedded models."""
