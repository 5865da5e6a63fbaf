"""Reading a study from its YAML file: an unknown key, a wrong type or a value out of range stops with file, line, value and
the accepted set.
"""

import os
from pathlib import Path
from typing import get_args

import yaml
from pydantic import ValidationError

from lib import paths
from lib.studies import Judge, Misplaced, Study


def load_study(name: str) -> Study:
    """Read studies/<name>.yaml, or any path that ends in .yaml; `extends: <name>` starts from another study's values;
    a value of null leaves out what that one has.

    The environment variable JUDGE, when set, overrides the study's `judge`.

    Raises ValueError with file, line, value and what is accepted, before anything else is touched.
    """
    path = locate_study(name)
    fields, tree = _read(path)
    try:
        fields = {**_extended(fields, [path]), **_judge_override()}
        return Study.model_validate(fields)
    except ValidationError as error:
        raise ValueError("\n".join(_describe(path, tree, problem) for problem in error.errors())) from None


def _judge_override() -> dict[str, str]:
    judge = os.environ.get("JUDGE", "")
    if judge not in ("", *get_args(Judge)):
        raise ValueError(f"environment variable JUDGE: {judge!r} not one of {', '.join(get_args(Judge))}; or unset it")
    return {"judge": judge} if judge else {}


def _extended(fields: dict, known: list[Path]) -> dict:
    """The fields over those of the study they extend, and of the one that it extends in turn."""
    if "extends" not in fields:
        return fields
    parent = locate_study(fields["extends"])
    if parent in known:
        raise ValueError(f"{known[-1].name}: extends {parent.name}, which extends it")
    values, _ = _read(parent)
    own = {key: value for key, value in fields.items() if key != "extends"}
    return _merged(_extended(values, [*known, parent]), own)


def locate_study(name: str) -> Path:
    """The file of a study named by its stem or by a path. Raises FileNotFoundError listing the studies there are."""
    path = Path(name) if name.endswith(".yaml") else paths.STUDIES / f"{name}.yaml"
    path = path if path.is_absolute() else paths.ROOT / path
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in paths.STUDIES.glob("*.yaml")))
        raise FileNotFoundError(f"{path} not found; studies here: {known}")
    return path


def _read(path: Path) -> tuple[dict, yaml.Node]:
    text = path.read_text(encoding="utf-8")
    try:
        fields, tree = yaml.safe_load(text), yaml.compose(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{path.name}: not YAML: {error}") from error
    if not isinstance(fields, dict):
        raise ValueError(f"{path.name}:1: a study is a mapping of sections, got {type(fields).__name__}")
    return fields, tree


def _merged(parent: dict, child: dict) -> dict:
    """The parent's values with the child's put over them, mapping by mapping; lists are replaced whole, null takes away."""
    kept = {key: value for key, value in parent.items() if child.get(key, ...) is not None}
    own = {key: value for key, value in child.items() if value is not None or key not in parent}
    both = {
        k: _merged(kept[k], v) if isinstance(v, dict) and isinstance(kept.get(k), dict) else v for k, v in own.items()
    }
    return {**kept, **both}


def _describe(path: Path, tree: yaml.Node, problem: dict) -> str:
    location, value = problem["loc"], problem["input"]
    if isinstance(cause := problem.get("ctx", {}).get("error"), Misplaced):
        location, value = location + cause.location, cause.value
    where = ".".join(str(part) for part in location) or "the file"
    value = value if not isinstance(value, dict) else "a mapping"
    return f"{path.name}:{_line(tree, location)}: {where}: {problem['msg']}; got {value!r}"


def _line(node: yaml.Node, location: tuple) -> int:
    line = node.start_mark.line if node else 0
    for part in location:
        if isinstance(node, yaml.MappingNode):
            match = [(key, value) for key, value in node.value if key.value == str(part)]
            if not match:
                break
            key, node = match[0]
            line = key.start_mark.line
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return line + 1
