"""Export: the best student on held-out rows, calibrated, as ONNX files with all that a prediction needs."""
