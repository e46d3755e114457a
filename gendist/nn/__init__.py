"""Neural network building blocks: devices, pretrained models, int8 inference, the packaged pocket models."""
