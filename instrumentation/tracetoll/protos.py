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
_ENUM: Final = 14
_MESSAGE: Final = 11


def message_in(of: object) -> Any:
    """Return the message that an SDK's object wraps; of several the last that has one. None if none has."""
    if isinstance(of, list | tuple):
        found = (message_in(one) for one in reversed(of))
        return next((one for one in found if one is not None), None)
    held = of if hasattr(of, "ListFields") else getattr(of, "__dict__", {}).get("_proto")
    return held if hasattr(held, "ListFields") else None


def fields_of(message: Any) -> dict[str, Any]:
    """Return the fields of a message by name; values of an enum by theirs."""
    found = {field.name: _value(field, value) for field, value in message.ListFields()}
    for field in message.DESCRIPTOR.fields:
        if field.type in _WHOLE_NUMBERS and not field.has_presence and field.name not in found:
            value = getattr(message, field.name)
            if type(value) is int:  # not a repeated one
                found[field.name] = value
    return found


def with_values(message: Any, changes: Mapping[str, Any]) -> Any:
    """Return a copy of a message that has other values."""
    made = type(message)()
    made.CopyFrom(message)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def _value(field: Any, value: Any) -> Any:
    if field.type == _MESSAGE:
        if hasattr(value, "ListFields"):
            return fields_of(value)
        return [fields_of(one) for one in value] if not hasattr(value, "items") else str(value)
    if field.type == _ENUM:
        names = field.enum_type.values_by_number
        if type(value) is int:
            return names[value].name if value in names else value
        return [names[one].name if one in names else one for one in value]
    return value if isinstance(value, str | bytes | int | float) else list(value)
