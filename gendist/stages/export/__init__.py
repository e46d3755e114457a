"""Export stage: chooses the best student on held-out rows, calibrates it and writes ONNX files for prediction."""
