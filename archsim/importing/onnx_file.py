"""Reading an ONNX file that nobody vouches for: bounded, without code, without files from outside its folder."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.errors import InvalidInput, MissingExtra, Problem
from archsim.files import is_file, read_bounded
from archsim.importing.draft import Constant, Node, Unsupported

try:
    import onnx
    from onnx import helper, numpy_helper
    from onnx.reference import ReferenceEvaluator
except ModuleNotFoundError as error:
    if error.name != "onnx":
        raise
    raise MissingExtra("onnx", "importing ONNX models") from None

MAX_MODEL_BYTES = 2 << 30
"""Of a model file, and of its tensors in other files; protobuf itself ends there."""
MAX_NODES = 10_000
"""Large quantised networks have some thousands."""
_MAX_FOLDED = 1 << 12
"""Elements of the operands of an operator that could multiply them; sizes of a Reshape have a handful."""
_NUMBERS = {
    onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16,
    onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.INT16, onnx.TensorProto.UINT16,
    onnx.TensorProto.INT32, onnx.TensorProto.INT64, onnx.TensorProto.BOOL,
}  # fmt: skip


@dataclass(frozen=True)
class Graph:
    """The parts of a model that matter. image: (name, dimensions or None each) of its input. uses: readers by name.

    values: numbers in all tensors of the file.
    """

    nodes: tuple[Node, ...]
    constants: dict[str, Constant]
    image: tuple[str, tuple[int | None, ...]]
    outputs: tuple[str, ...]
    uses: Counter[str]
    opset: int
    values: int

    def fold(self, node: Node, inputs: list[Constant]) -> Constant:
        """An operator on constants, computed by the reference evaluator of ONNX. Raises Unsupported."""
        arrays = [part.array for part in inputs]
        sizes = [array.size for array in arrays]
        if node.op == "Expand":  # its output may be much larger than its inputs
            sizes += [math.prod(max(1, int(length)) for length in array.ravel()) for array in arrays[1:]]
        if node.op in ("Concat", "Gather", "Expand") and sum(sizes) > _MAX_FOLDED:
            raise Unsupported("computes with large constants", "let the exporter fold constants")
        try:
            names = [name for name in node.inputs if name]
            given = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
                     for name, array in zip(names, arrays, strict=True)]  # fmt: skip
            output = helper.make_empty_tensor_value_info(node.outputs[0])
            graph = helper.make_graph([node.proto], "folded", given, [output])
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
            (found,) = ReferenceEvaluator(model).run([node.outputs[0]], dict(zip(names, arrays, strict=True)))
        except Exception as error:  # whatever a hostile node makes of it
            raise Unsupported(f"cannot be computed ({type(error).__name__}: {error})") from None
        result = np.asarray(found)
        if result.size > max(_MAX_FOLDED, sum(array.size for array in arrays)):
            raise Unsupported("computes large constants", "let the exporter fold constants")
        return Constant(result)


@dataclass
class _Files:
    """Files in which tensors of a model lie: inside its folder, links followed. left_bytes: yet to be read at most."""

    folder: Path
    left_bytes: int = field(default_factory=lambda: MAX_MODEL_BYTES)

    def read(self, tensor: Any, expected_bytes: int) -> bytes:
        """The bytes of a tensor. Raises Unsupported."""
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        path = self.folder / location
        inside = not Path(location).is_absolute() and ".." not in Path(location).parts
        try:
            if not location or not inside or not path.resolve().is_relative_to(self.folder.resolve()):
                raise Unsupported(f'in the file "{location}", expected one inside the folder of the model')
            offset, length = int(entries.get("offset", "0")), int(entries.get("length", str(expected_bytes)))
            if not is_file(path):
                raise Unsupported(f"in a file that is not there: {path}", "keep it beside the model")
            if offset < 0 or length != expected_bytes:
                raise Unsupported(f"of {length} bytes at {offset}, expected {expected_bytes}")
            self.left_bytes -= length
            if self.left_bytes < 0:
                raise Unsupported(
                    f"with those before it more than {MAX_MODEL_BYTES >> 20} MiB in other files"
                )
            with path.open("rb") as stream:
                stream.seek(offset)
                data: bytes = stream.read(expected_bytes)
        except (OSError, RuntimeError, ValueError) as error:
            raise Unsupported(f"in an unreadable file {path} ({error})") from None
        if len(data) != expected_bytes:
            found = f"of {len(data)} bytes in {path}, expected {expected_bytes}"
            raise Unsupported(found, "the file may be truncated")
        return data


def read_graph(path: Path) -> Graph:
    """Read a model. Raises InvalidInput for anything that is no model of one image input, listing every bad tensor."""
    model = _parse(path)
    graph, problems = model.graph, []
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if not opset:
        problems.append(Problem(str(path), "opset_import", "found no ONNX operators"))
    if len(graph.node) > MAX_NODES:
        message = f"found {len(graph.node)} nodes, expected at most {MAX_NODES}"
        raise InvalidInput([Problem(str(path), "graph", message)])
    constants, files = {}, _Files(path.parent)
    for tensor in graph.initializer:
        try:
            constants[tensor.name] = Constant(_array(tensor, files))
        except Unsupported as error:
            problems.append(Problem(str(path), f'tensor "{tensor.name}"', str(error), error.hint))
    problems += [
        Problem(str(path), f'tensor "{tensor.values.name}"', "is sparse, expected a dense tensor")
        for tensor in graph.sparse_initializer
    ]
    nodes = []
    for index, node in enumerate(graph.node):
        try:
            nodes.append(_node(node, index, files))
        except Unsupported as error:
            problems.append(Problem(str(path), _label(node, index), str(error), error.hint))
    image = _image(graph, path, problems)
    outputs = tuple(output.name for output in graph.output)
    if not outputs:
        problems.append(Problem(str(path), "outputs", "found none, expected the logits"))
    if problems or image is None:
        raise InvalidInput(problems)
    uses = Counter(name for node in nodes for name in set(node.inputs) if name)
    uses.update(outputs)
    values = sum(constant.array.size for constant in constants.values())
    values += sum(np.size(value) for node in nodes for value in node.attributes.values())
    return Graph(tuple(nodes), constants, image, outputs, uses, opset, values)


def _parse(path: Path) -> Any:
    data = read_bounded(path, MAX_MODEL_BYTES)
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf raises what it likes
        message = f"found no ONNX model ({type(error).__name__})"
        raise InvalidInput([Problem(str(path), "", message, "the file may be truncated")]) from None
    if not model.HasField("graph"):
        raise InvalidInput([Problem(str(path), "", "found no graph, expected an ONNX model")])
    return model


def _node(node: Any, index: int, files: _Files) -> Node:
    attributes = {attribute.name: _attribute(attribute, files) for attribute in node.attribute}
    name = node.name or f"{node.op_type.lower()}{index}"
    return Node(
        _operator(node), name, _label(node, index), tuple(node.input), tuple(node.output), attributes, node
    )


def _operator(node: Any) -> str:
    """Operators of other domains are no operators of ONNX, whatever their names."""
    return f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else str(node.op_type)


def _label(node: Any, index: int) -> str:
    return f'{_operator(node)} "{node.name}"' if node.name else f"{_operator(node)} #{index}"


def _attribute(attribute: Any, files: _Files) -> Any:
    if attribute.type == onnx.AttributeProto.TENSOR:
        return _array(attribute.t, files)
    if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
        return None  # of If, Loop and Scan, which are refused as they are
    try:
        return helper.get_attribute_value(attribute)
    except Exception as error:
        raise Unsupported(f"an unreadable attribute {attribute.name} ({error})") from None


def _array(tensor: Any, files: _Files) -> NDArray[Any]:
    """Numbers of a tensor; its size is known before anything is allocated."""
    if tensor.data_type not in _NUMBERS:
        raise Unsupported(f"of the type {tensor.data_type}, expected numbers of at least 8 bits")
    if any(length < 0 for length in tensor.dims):
        raise Unsupported(f"of {list(tensor.dims)} elements")
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type))
    expected = math.prod(tensor.dims) * dtype.itemsize
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        data = np.frombuffer(files.read(tensor, expected), dtype).reshape(tuple(tensor.dims))
    else:
        if tensor.HasField("raw_data") and len(tensor.raw_data) != expected:
            raise Unsupported(
                f"of {len(tensor.raw_data)} bytes, expected {expected}", "the file may be damaged"
            )
        try:
            data = numpy_helper.to_array(tensor)
        except Exception as error:
            raise Unsupported(
                f"unreadable ({type(error).__name__}: {error})", "the file may be damaged"
            ) from None
    if data.dtype.kind not in "iub":
        data = data.astype(np.float64 if data.dtype == np.float64 else np.float32)
        if not np.isfinite(data).all():
            raise Unsupported("with values that are infinite or no numbers")
    return data


def _image(graph: Any, path: Path, problems: list[Problem]) -> tuple[str, tuple[int | None, ...]] | None:
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [entry for entry in graph.input if entry.name not in stored]
    if len(inputs) != 1:
        found = ", ".join(f'"{entry.name}"' for entry in inputs) or "none"
        problems.append(Problem(str(path), "inputs", f"found {found}, expected one: the image"))
        return None
    dims = inputs[0].type.tensor_type.shape.dim
    lengths = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)
    return inputs[0].name, lengths
