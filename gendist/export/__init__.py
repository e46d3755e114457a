"""Export: the student to deploy, chosen on held-out rows, calibrated, as ONNX files with all that a prediction needs."""
