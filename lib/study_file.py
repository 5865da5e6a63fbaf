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
    fields, sources = _extended(locate_study(name), [])
    try:
        return Study.model_validate({**fields, **_judge_override()})
    except ValidationError as error:
        raise ValueError("\n".join(_describe(sources, problem) for problem in error.errors())) from None


def _judge_override() -> dict[str, str]:
    judge = os.environ.get("JUDGE", "")
    if judge not in ("", *get_args(Judge)):
        raise ValueError(f"environment variable JUDGE: {judge!r} not one of {', '.join(get_args(Judge))}; or unset it")
    return {"judge": judge} if judge else {}


def _extended(path: Path, known: list[Path]) -> tuple[dict, list[tuple[Path, yaml.Node]]]:
    """The fields of a file over those of the study it extends, and of the one that it extends in turn; and the files with
    their trees in that order, this one first.
    """
    fields, tree = _read(path)
    if "extends" not in fields:
        return fields, [(path, tree)]
    if not isinstance(name := fields.pop("extends"), str):
        line = _reach(tree, ("extends",))[1]
        raise ValueError(f"{path.name}:{line}: extends: the name of one study, as in `extends: itr`; got {name!r}")
    parent = locate_study(name)
    if parent in (*known, path):
        raise ValueError(f"{path.name}: extends {parent.name}, which extends it")
    values, sources = _extended(parent, [*known, path])
    if fields.get("name") in (None, values.get("name")):
        where = f"{path.name}:{_reach(tree, ('name',))[1]}: name"
        raise ValueError(
            f"{where}: a study that extends {parent.name} needs one of its own, or it would run as that one"
        )
    return _merged(values, fields), [(path, tree), *sources]


def locate_study(name: str) -> Path:
    """The file of a study named by its stem or by a path. Raises FileNotFoundError listing the studies there are."""
    path = Path(name) if name.endswith(".yaml") else paths.STUDIES / f"{name}.yaml"
    path = path if path.is_absolute() else paths.ROOT / path
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in paths.STUDIES.glob("*.yaml")))
        raise FileNotFoundError(f"{path} not found; studies here: {known}")
    return path


class _Loader(yaml.SafeLoader):
    """Refuses a key given twice in one mapping, of which YAML would silently keep the last."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        first: dict[str, int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            line = key.start_mark.line + 1
            if key.value in first:
                where = f"{self.name}:{line}: {key.value}"
                raise ValueError(f"{where}: given twice, first in line {first[key.value]}; put both into one")
            first[key.value] = line
        return node


def _read(path: Path) -> tuple[dict, yaml.Node]:
    text = paths.read_text(path)
    try:
        loader = _Loader(text)
        loader.name = path.name
        tree = loader.get_single_node()
        # This also writes what `<<` merges into the tree, before the mapping's own keys.
        fields = loader.construct_document(tree) if tree else None
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


def _describe(sources: list[tuple[Path, yaml.Node]], problem: dict) -> str:
    location, value = problem["loc"], problem["input"]
    if isinstance(cause := problem.get("ctx", {}).get("error"), Misplaced):
        location, value = location + cause.location, cause.value
    where = ".".join(str(part) for part in location) or "the file"
    value = value if not isinstance(value, dict) else "a mapping"
    # The file that gives the value; of several the first, which is put over the others.
    _, line, path = max(((*_reach(tree, location), path) for path, tree in sources), key=lambda found: found[0])
    return f"{path.name}:{line}: {where}: {problem['msg']}; got {value!r}"


def _reach(node: yaml.Node, location: tuple) -> tuple[int, int]:
    """How many steps of a location a tree has, and the line of the last one. All of them where a list or a word is on the way,
    since that replaces whatever another file has below it.
    """
    line, whole = node.start_mark.line, False
    for step, part in enumerate(location):
        if isinstance(node, yaml.MappingNode):
            match = [(key, value) for key, value in node.value if key.value == str(part)]
            if not match:
                return len(location) if whole else step, line + 1
            key, node = match[-1]
            line = key.start_mark.line
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node, whole = node.value[part], True
            line = node.start_mark.line
        else:
            break
    return len(location), line + 1
