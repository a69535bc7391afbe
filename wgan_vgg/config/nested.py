"""Reading, overriding and comparing nested frozen dataclasses by "section.field" keys; knows no hyperparameter."""

import ast
import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol, TypeGuard, TypeVar

from wgan_vgg.errors import InputError


class Dataclass(Protocol):
    """Any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


Nested = TypeVar("Nested", bound=Dataclass)


def flatten(config: Dataclass) -> dict[str, Any]:
    """Every value of a config by its "section.field" key."""
    return flatten_dict(to_dict(config))


def flatten_dict(values: Mapping[str, Any]) -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a.b": 1}."""

    def items(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for name, value in values.items():
            if isinstance(value, Mapping):
                yield from items(f"{prefix}{name}.", value)
            else:
                yield f"{prefix}{name}", value

    return dict(items("", values))


def to_dict(config: Dataclass) -> dict[str, Any]:
    """A config as nested dicts that JSON keeps: tuples become lists."""
    return {
        field.name: to_dict(value) if _is_section(value) else list(value) if isinstance(value, tuple) else value
        for field in dataclasses.fields(config)
        for value in [getattr(config, field.name)]
    }


def _is_section(value: object) -> TypeGuard[Dataclass]:
    return dataclasses.is_dataclass(value)


def get(config: Dataclass, key: str) -> Any:
    """The value under a "section.field" key."""
    return functools.reduce(getattr, key.split("."), config)


def override(config: Nested, values: Mapping[str, object]) -> Nested:
    """A copy of `config` with the given keys set at once, so that only the whole is validated.

    Raises:
      InputError: an unknown key (the near ones are listed), or a value of the wrong type.
    """
    known = flatten(config)
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
            near += [name for name in known if name.endswith("." + key) and name not in near]
            hint = f"did you mean {' or '.join(near)}?" if near else f"the keys are {', '.join(known)}"
            raise InputError(f"config key {key!r}: unknown; {hint}")
    return _replace(config, "", values)


def _replace(config: Nested, prefix: str, values: Mapping[str, object]) -> Nested:
    types_of = typing.get_type_hints(type(config))
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        key, value = prefix + field.name, getattr(config, field.name)
        if _is_section(value):
            if any(name.startswith(key + ".") for name in values):
                changes[field.name] = _replace(value, key + ".", values)
        elif key in values:
            changes[field.name] = _converted(key, values[key], types_of[field.name])
    return dataclasses.replace(config, **changes)


def _converted(key: str, value: object, expected: object) -> object:
    """`value`, or the text of one, as the field's declared type."""
    options = typing.get_args(expected) if isinstance(expected, types.UnionType) else (expected,)
    parsed = value
    if isinstance(value, str) and {str, types.NoneType} <= {*options} and value.lower() in ("", "none"):
        return None
    if isinstance(value, str) and str not in options:
        try:
            parsed = ast.literal_eval({"true": "True", "false": "False", "none": "None"}.get(value.lower(), value))
        except (ValueError, SyntaxError):
            # An unquoted word or list of words, as in --set=data.train_parts=train,validation
            words = tuple(value.split(",")) if value else ()
            parsed = words if any(typing.get_origin(o) is tuple for o in options) else value
    for option in options:
        fits, result = _as_type(parsed, option)
        if fits:
            return result
    names = " or ".join(getattr(o, "__name__", str(o)) if not typing.get_args(o) else str(o) for o in options)
    raise InputError(f"{key}={value!r}: expected {names.replace('NoneType', 'none')}")


def _as_type(value: object, expected: Any) -> tuple[bool, object]:
    if typing.get_origin(expected) is tuple:
        values = tuple(value) if isinstance(value, list | tuple) else (value,)
        arguments = typing.get_args(expected)
        item = arguments[0]
        if arguments[-1] is not Ellipsis and len(values) != len(arguments):
            return False, None
        items = [_as_type(v, item) for v in values]
        return all(fits for fits, _ in items), tuple(v for _, v in items)
    if isinstance(value, bool) or expected is bool:
        return (isinstance(value, bool) and expected is bool), value
    if expected is float and isinstance(value, int):
        return True, float(value)
    if expected is int and isinstance(value, float) and value.is_integer():
        return True, int(value)
    return isinstance(value, expected), value


def differences(first: Mapping[str, object], second: Mapping[str, object]) -> list[str]:
    """The keys in which two nested dicts differ, each as "key: first -> second"."""
    first, second = flatten_dict(first), flatten_dict(second)
    return [
        f"{key}: {first.get(key, 'absent')} -> {second.get(key, 'absent')}"
        for key in dict.fromkeys([*first, *second])
        if first.get(key, "absent") != second.get(key, "absent")
    ]
