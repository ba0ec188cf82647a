"""KEDA's external scaler interface on the wire: its messages, made of a table when this is imported.

schemas/keda/externalscaler.proto says the same for people and for clients. Refuses to know what is answered.
"""

from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

PACKAGE = "externalscaler"
SERVICE = f"{PACKAGE}.ExternalScaler"
_TEXTS = "map<string, string>"
_KINDS = {
    "string": FieldDescriptorProto.TYPE_STRING, "bool": FieldDescriptorProto.TYPE_BOOL,
    "int64": FieldDescriptorProto.TYPE_INT64, "double": FieldDescriptorProto.TYPE_DOUBLE,
}  # fmt: skip
#: message -> its fields and what they hold, numbered from 1 on
MESSAGES = {
    "ScaledObjectRef": {"name": "string", "namespace": "string", "scalerMetadata": _TEXTS},
    "IsActiveResponse": {"result": "bool"},
    "GetMetricSpecResponse": {"metricSpecs": "repeated MetricSpec"},
    "MetricSpec": {"metricName": "string", "targetSize": "int64", "targetSizeFloat": "double"},
    "GetMetricsRequest": {"scaledObjectRef": "ScaledObjectRef", "metricName": "string"},
    "GetMetricsResponse": {"metricValues": "repeated MetricValue"},
    "MetricValue": {"metricName": "string", "metricValue": "int64", "metricValueFloat": "double"},
}


def file_descriptor() -> FileDescriptorProto:
    """Describe the messages as a compiler of the .proto would."""
    return FileDescriptorProto(
        name="externalscaler.proto", package=PACKAGE, syntax="proto3",
        message_type=[_message(name, fields) for name, fields in MESSAGES.items()],
    )  # fmt: skip


def _message(name: str, fields: dict[str, str]) -> DescriptorProto:
    made = DescriptorProto(name=name)
    for number, (field, kind) in enumerate(fields.items(), 1):
        is_many = kind == _TEXTS or kind.startswith("repeated ")
        label = FieldDescriptorProto.LABEL_REPEATED if is_many else FieldDescriptorProto.LABEL_OPTIONAL
        one = _map(made, name, field) if kind == _TEXTS else kind.removeprefix("repeated ")
        made.field.append(_field(field, number, one, label))
    return made


def _map(message: DescriptorProto, name: str, field: str) -> str:
    """Add the message that a map is a list of; return what it is called."""
    entry = DescriptorProto(name=f"{field[0].upper()}{field[1:]}Entry")
    for number, part in enumerate(("key", "value"), 1):
        entry.field.append(_field(part, number, "string", FieldDescriptorProto.LABEL_OPTIONAL))
    entry.options.map_entry = True
    message.nested_type.append(entry)
    return f"{name}.{entry.name}"


def _field(name: str, number: int, kind: str, label: Any) -> FieldDescriptorProto:
    if kind in _KINDS:
        return FieldDescriptorProto(name=name, number=number, label=label, type=_KINDS[kind], json_name=name)
    named = f".{PACKAGE}.{kind}"
    return FieldDescriptorProto(
        name=name, number=number, label=label, type=FieldDescriptorProto.TYPE_MESSAGE, type_name=named, json_name=name
    )


_POOL = DescriptorPool()
_POOL.AddSerializedFile(file_descriptor().SerializeToString())


def message(name: str) -> Any:
    """Return the class of a message."""
    return GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


ScaledObjectRef = message("ScaledObjectRef")
IsActiveResponse = message("IsActiveResponse")
GetMetricSpecResponse = message("GetMetricSpecResponse")
GetMetricsRequest = message("GetMetricsRequest")
GetMetricsResponse = message("GetMetricsResponse")
