"""Networks people have: ONNX graphs and SCALE-Sim topologies become workloads. ONNX files need the extra ``onnx``."""
