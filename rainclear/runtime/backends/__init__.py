"""What runs a network: PyTorch, its compiler, OpenVINO, ONNX Runtime, TensorRT; one protocol."""
