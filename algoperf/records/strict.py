"""Files that people write, checked: an unknown key or a wrong value is one sentence that names the allowed ones."""

from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml

from algoperf.benchmark.facts import UsageError


class Strict(pydantic.BaseModel):
    """Refuses unknown keys and does not change."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


AnyStrict = TypeVar("AnyStrict", bound=Strict)


def check_content(model: type[AnyStrict], content: Any, where: str) -> AnyStrict:
    """`content` as a `model`. Raises UsageError with a sentence that names the first wrong key and the allowed ones."""
    try:
        return model.model_validate(content)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "it"
        if first["type"] == "extra_forbidden":
            allowed = ", ".join(_keys_at(model.model_json_schema(), first["loc"][:-1]))
            raise UsageError(f"{where} has an unknown key {key!r}; the keys are {allowed}.") from None
        raise UsageError(f"{where} is wrong at {key!r}: {first['msg']} (got {first['input']!r}).") from None


def _keys_at(schema: dict[str, Any], location: tuple[str | int, ...]) -> list[str]:
    """The keys that a schema allows at a place in its content."""
    here = schema
    for step in location:
        here = here.get("properties", {}).get(step) or here.get("items") or here["additionalProperties"]
        if "$ref" in here:
            here = schema["$defs"][here["$ref"].rpartition("/")[2]]
    return list(here["properties"])


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.YAMLError(f"the key {twice[0]!r} is there twice, line {node.start_mark.line + 1} and after")
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, where: str) -> Any:
    """What a YAML file holds, an empty one nothing. Raises UsageError where it cannot be read or says a key twice."""
    try:
        return yaml.load(path.read_text("utf-8"), _Loader) or {}
    except OSError as error:
        raise UsageError(f"{where} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{where} is not in UTF-8 (byte {error.start}); save it as that.") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{where} is not YAML: {' '.join(str(error).split())}.") from None
