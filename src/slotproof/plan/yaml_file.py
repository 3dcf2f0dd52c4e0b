"""YAML in, models out; every error with file and line, all of them at once.

PyYAML's node tree carries the marks; pydantic's error locations are looked up in it.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from slotproof.errors import InputFileError, InputProblem

Location = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True)
class YamlFile:
    """A parsed file: its data, and the line (from 1) of every key and item."""

    path: Path
    data: Any
    lines: Mapping[Location, int]

    def line(self, location: Sequence[str | int]) -> int:
        """Line of the location, or of the nearest thing around it."""
        for length in range(len(location), -1, -1):
            line = self.lines.get(tuple(location[:length]))
            if line is not None:
                return line
        return 1

    def written(self, location: Sequence[str | int]) -> Location:
        """The location without what pydantic adds to it (names of union members), as it stands in the file."""
        kept: Location = ()
        for part in location:
            kept = (*kept, part) if (*kept, part) in self.lines else kept
        return kept

    def problem(self, location: Sequence[str | int], what: str, right: str | None = None) -> InputProblem:
        return InputProblem(self.path, self.line(location), what, right)


def read_yaml(path: Path) -> YamlFile:
    """Parse one YAML document.

    Raises:
        InputFileError: not readable, not YAML, more than one document, not a mapping, or a key stands twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputFileError([InputProblem(path, 1, f"cannot be read: {error}")]) from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputFileError([InputProblem(path, line, f"not YAML: {error.problem}")]) from error
    if not isinstance(root, yaml.MappingNode):
        raise InputFileError([InputProblem(path, 1, "not a YAML mapping", "key: value lines, as in the shipped files")])
    lines: dict[Location, int] = {(): 1}
    doubles: list[InputProblem] = []
    _mark(root, (), lines, doubles, path)
    if doubles:
        raise InputFileError(doubles)
    return YamlFile(path, data, lines)


def _mark(node: yaml.Node, at: Location, lines: dict[Location, int], doubles: list[InputProblem], path: Path) -> None:
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            location = (*at, key_node.value)
            line = key_node.start_mark.line + 1
            if location in lines:
                doubles.append(InputProblem(path, line, f"key {key_node.value} stands twice", "keep one of them"))
            lines[location] = line
            _mark(value_node, location, lines, doubles, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*at, index)] = item.start_mark.line + 1
            _mark(item, (*at, index), lines, doubles, path)


def parse(file: YamlFile, model: type[ModelT]) -> ModelT:
    """Validate the whole file.

    Raises:
        InputFileError: with every problem, each at its line.
    """
    try:
        return model.model_validate(file.data)
    except ValidationError as error:
        raise InputFileError(problems_of(file, error, model)) from error


def problems_of(
    file: YamlFile, error: ValidationError, model: type[BaseModel], at: Location = ()
) -> list[InputProblem]:
    """pydantic's errors as problems of the file; `at` is where the model's data stands in it.

    A value that fits none of a union's members yields one error per member: only the first of each place is kept.
    """
    problems: dict[Location, InputProblem] = {}
    for detail in error.errors():
        location = (*at, *detail["loc"])
        key = ".".join(str(part) for part in file.written(location)) or "file"
        if detail["type"] == "extra_forbidden":
            wrong = str(detail["loc"][-1])
            what = f"unknown key {wrong!r}"
            right: str | None = suggestion(wrong, known_keys(model, detail["loc"][:-1]))
        elif detail["type"] == "missing":
            what, right = f"{detail['loc'][-1]!r} is missing", "add it"
        else:
            what = f"{key}: {detail['msg'].removeprefix('Value error, ')}"
            given = detail["input"]
            right = f"got {given!r}" if isinstance(given, str | int | float | bool | None) else None
        place = location[:-1] if detail["type"] in ("enum", "literal_error") and len(location) > 1 else location
        problems.setdefault(place, file.problem(location, what, right))
    return sorted(problems.values(), key=lambda problem: problem.line)


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """ "did you mean …", or the list of what is known."""
    names = sorted(known)
    near = difflib.get_close_matches(wrong, names, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"


def known_keys(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The keys that may stand at a location inside a model."""
    current: Any = model
    for part in location:
        if isinstance(part, int):
            current = _item_type(current)
        elif isinstance(current, type) and issubclass(current, BaseModel):
            field = next((f for n, f in current.model_fields.items() if part in (n, f.alias)), None)
            if field is None:
                return []
            current = field.annotation
        else:
            # pydantic names the member of a union: by its class, or by its tag
            named = (m for m in _members(current) if getattr(m, "__name__", "").lower().startswith(part.lower()))
            current = next(named, current)
    for member in _members(current):
        if isinstance(member, type) and issubclass(member, BaseModel):
            return [field.alias or name for name, field in member.model_fields.items()]
    return []


def _members(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is typing.Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (typing.Union, types.UnionType):
        return tuple(inner for member in get_args(annotation) for inner in _members(member))
    return (annotation,)


def _item_type(annotation: Any) -> Any:
    for member in _members(annotation):
        if get_args(member):
            return get_args(member)[0]
    return annotation
