"""Inference with an exported student. Needs NumPy, ONNX Runtime and tokenizers; imports no torch."""
