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


def read_yaml(path: Path, where: str) -> Any:
    """What a YAML file holds, an empty one nothing. Raises UsageError where it cannot be read."""
    try:
        return yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise UsageError(f"{where} cannot be read: {error.strerror}.") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{where} is not YAML: {' '.join(str(error).split())}.") from None
