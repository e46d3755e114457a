"""Predictions of an exported student, with NumPy, ONNX Runtime and tokenizers alone: no torch, no transformers."""
