"""Protocol buffer messages as plain data, for SDKs that speak gRPC.

Nothing of protobuf is imported: the message is asked. A number that was not set is 0 where the format cannot tell the
two apart; other fields that are not set are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHOLE_NUMBERS: Final = frozenset({3, 4, 5, 13})
"""FieldDescriptor.TYPE_INT64, TYPE_UINT64, TYPE_INT32 and TYPE_UINT32."""
_DOUBLES: Final = "number_value"
_FLOAT: Final = 2
_ENUM: Final = 14
_MESSAGE: Final = 11


def message_in(of: object) -> Any:
    """Return the message that an SDK's object wraps; of several the last that has one. None if none has."""
    if isinstance(of, list | tuple):
        found = (message_in(one) for one in reversed(of))
        return next((one for one in found if one is not None), None)
    if hasattr(of, "ListFields"):
        return of
    fields = getattr(of, "__dict__", {})
    held = fields.get("_proto", fields.get("_pb"))  # xai_sdk, proto-plus
    return held if hasattr(held, "ListFields") else None


def fields_of(message: Any, named: str = "name") -> dict[str, Any]:
    """Return the fields of a message by name, or by what else their descriptors have; values of an enum by theirs."""
    found = {getattr(field, named): _value(field, value, named) for field, value in message.ListFields()}
    for field in message.DESCRIPTOR.fields:
        if field.type in _WHOLE_NUMBERS and not field.has_presence and getattr(field, named) not in found:
            value = getattr(message, field.name)
            if type(value) is int:  # not a repeated one
                found[getattr(field, named)] = value
    return found


def json_of_message(message: Any, named: str = "json_name") -> Any:
    """Return a message as JSON has it, but for lists of numbers, which are vectors, and empty."""
    kind = message.DESCRIPTOR.full_name
    if kind == "google.protobuf.Struct":
        return {name: json_of_message(one) for name, one in message.fields.items()}
    if kind == "google.protobuf.ListValue":
        vector = len(message.values) > 0 and message.values[0].WhichOneof("kind") == _DOUBLES
        return [] if vector else [json_of_message(one) for one in message.values]
    if kind != "google.protobuf.Value":
        return fields_of(message, named)
    told = message.WhichOneof("kind")
    value: Any = None if told in {None, "null_value"} else getattr(message, told)
    if told == _DOUBLES and value.is_integer():
        return int(value)
    return json_of_message(value) if hasattr(value, "ListFields") else value


def copied(message: Any) -> Any:
    """Return a copy of a message."""
    made = type(message)()
    made.CopyFrom(message)
    return made


def with_values(message: Any, changes: Mapping[str, Any]) -> Any:
    """Return a copy of a message that has other values."""
    made = copied(message)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def _value(field: Any, value: Any, named: str) -> Any:
    if field.type == _MESSAGE:
        if hasattr(value, "ListFields"):
            return json_of_message(value, named)
        return [json_of_message(one, named) for one in value] if not hasattr(value, "items") else str(value)
    if field.type == _FLOAT and type(value) is float:  # of 32 bits: 0.7 comes as 0.699999988
        told = float(f"{value:.7g}")
        return int(told) if told.is_integer() else told
    if field.type == _ENUM:
        names = field.enum_type.values_by_number
        if type(value) is int:
            return names[value].name if value in names else value
        return [names[one].name if one in names else one for one in value]
    return value if isinstance(value, str | bytes | int | float) else list(value)
