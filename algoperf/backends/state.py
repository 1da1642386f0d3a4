"""State as plain data and back, whatever a submission makes of it: the walk over it that both frameworks share.

Plain data are dictionaries, lists, tuples, numbers, strings and NumPy arrays, as a checkpoint holds them. An array is
the framework's own; whatever is none of these is a dictionary that begins with one of the marks below. So the data say
what they are, and what a trial makes late, lets grow or takes away comes back, too. It comes back *into* the objects
that are there: a closure or an optimizer that holds one of them would otherwise go on with the old one.
"""

import collections
import copy
import types
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Protocol

import numpy as np

from algoperf.backends import plain
from algoperf.records.checkpoint import CheckpointError

MISSING = object()  # nothing is there; or it is nothing of a framework's own

# Containers that can be made again where there is none yet.
_REMADE = (collections.OrderedDict, collections.Counter, types.MappingProxyType)


class Mark:
    """What plain data begin with that stand for something else. A submission's own keys that look so become pairs."""

    PREFIX = "__"
    CODE, LEFT_OUT, SAME = "__code__", "__left_out__", "__same__"
    PAIRS, NAMED_TUPLE, SUBCLASS, OBJECT = "__pairs__", "__named_tuple__", "__subclass__", "__object__"
    SET, FROZEN_SET, DEQUE, BYTE_ARRAY = "__set__", "__frozen_set__", "__deque__", "__byte_array__"
    CONSTANT, NUMPY, GENERATOR = "__constant__", "__numpy__", "__generator__"


def mark(exported: Any) -> str | None:
    """With which mark plain data begin; None where they stand for themselves."""
    first = next(iter(exported), None) if isinstance(exported, dict) else None
    return first if isinstance(first, str) and first.startswith(Mark.PREFIX) else None


class Kinds(Protocol):
    """What a framework adds: its own kinds of state. Their marks are its own, too."""

    def export(self, value: Any, where: str, export: "Export") -> Any:
        """Plain data for a value of the framework's, MISSING for any other."""

    def restore(self, template: Any, exported: Any, where: str, restoration: "Restoration") -> Any:
        """What the plain data of such a value stand for, MISSING for any others. template: as for `Restoration.of`."""


class Export:
    """One export. See `Backend.export`.

    with_arrays: False where only `left_out` is wanted: where there was something neither saved nor code.
    """

    def __init__(self, kinds: Kinds, with_arrays: bool = True):
        self.left_out: list[str] = []
        self.with_arrays = with_arrays
        self._kinds = kinds
        self._seen: dict[int, tuple[Any, str]] = {}  # what can change in place, and where it came up first

    def of(self, value: Any, where: str) -> Any:  # noqa: PLR0911, PLR0912 (one return for each kind of state)
        """Plain data for a value. where: what it is called, `optimizer_state['ema']` for example."""
        if value is None or type(value) in (bool, int, float, str):
            return value
        if (exported := self._kinds.export(value, where, self)) is not MISSING:
            return exported
        if (constant := plain.export_constant(value)) is not None:
            return {Mark.CONSTANT: constant}
        match value:
            case tuple() if hasattr(value, "_fields"):
                return {Mark.NAMED_TUPLE: plain.name_of(type(value)), "items": self._items(value, where)}
            case tuple():
                return _exactly(tuple, value, tuple(self._items(value, where)))
            case frozenset():
                return {Mark.FROZEN_SET: self._items(value, where)}
            case list():
                return self.once(value, where, lambda: _exactly(list, value, self._items(value, where)))
            case Mapping():
                return self.once(value, where, lambda: _exactly(dict, value, self._pairs(value, where)))
            case set():
                return self.once(value, where, lambda: _exactly(set, value, {Mark.SET: self._items(value, where)}))
            case collections.deque():
                return self.once(value, where, lambda: {Mark.DEQUE: self._items(value, where), "length": value.maxlen})
            case bytearray():
                return self.once(value, where, lambda: {Mark.BYTE_ARRAY: np.frombuffer(bytes(value), np.uint8)})
            case np.ndarray() if not value.dtype.hasobject:
                return self.once(value, where, lambda: {Mark.NUMPY: self.with_arrays and plain.export_array(value)})
        if isinstance(value, plain.GENERATORS):
            return self.once(value, where, lambda: self._generator(value))
        if plain.is_of_attributes(value):
            return self.once(value, where, lambda: self._attributes(value, where))
        if plain.is_code(value) or plain.is_of_benchmark(value):
            return {Mark.CODE: None}
        self.left_out.append(f"{where}, a {type(value).__name__}")
        return {Mark.LEFT_OUT: None}

    def once(self, value: Any, where: str, make: Callable[[], Any]) -> Any:
        """What `make` gives where the value comes up for the first time, then only where that was."""
        if id(value) in self._seen:
            return {Mark.SAME: self._seen[id(value)][1]}
        self._seen[id(value)] = (value, where)  # which keeps it alive: no other gets its id
        return make()

    def apart(self, value: Any, where: str) -> Any:
        """Plain data for what is made for the occasion, a `state_dict` for example."""
        inner = Export(self._kinds, self.with_arrays)
        inner.left_out = self.left_out
        return inner.of(value, where)

    def _items(self, values: Iterable[Any], where: str) -> list[Any]:
        return [self.of(item, f"{where}[{number}]") for number, item in enumerate(values)]

    def _pairs(self, value: Mapping, where: str) -> dict[Any, Any]:
        self.left_out += [f"the key of {where}[{key!r}]" for key in value if not plain.is_key(key)]
        items = [(key, self.of(item, f"{where}[{key!r}]")) for key, item in value.items() if plain.is_key(key)]
        if all(type(key) is int or (type(key) is str and not key.startswith(Mark.PREFIX)) for key, _ in items):
            return dict(items)
        return {Mark.PAIRS: [[self.of(key, where), item] for key, item in items]}

    def _generator(self, value: Any) -> dict[str, Any]:
        return {Mark.GENERATOR: plain.export_generator(value), "of": type(value).__name__}

    def _attributes(self, value: Any, where: str) -> dict[str, Any]:
        parts = [[name, self.of(part, f"{where}.{name}")] for name, part in plain.attributes(value).items()]
        return {Mark.OBJECT: plain.name_of(type(value)), "attributes": parts}


class Restoration:
    """One restoration of all that a checkpoint holds. See `Backend.restore`.

    in_place: whether what is there may be changed.
    """

    def __init__(self, kinds: Kinds, in_place: bool = True):
        self.in_place = in_place
        self._kinds = kinds
        self._restored: dict[str, Any] = {}  # by where it is
        self._taken: dict[int, Any] = {}  # what has its state already: two objects may have been one at the beginning

    def of(self, template: Any, exported: Any, where: str) -> Any:
        """The value that plain data stand for.

        template: what is there now, MISSING where nothing is. Raises CheckpointError where the value needs something
        that is not there: it was made later than all that is.
        """
        return self.is_now(where, self._of(template, exported, where))

    def apart(self, template: Any, exported: Any, where: str) -> Any:
        """The inverse of `Export.apart`. template: has what was not saved."""
        return Restoration(self._kinds, in_place=False).of(template, exported, where)

    def is_now(self, where: str, value: Any) -> Any:
        """Notes which value is restored there, maybe before it has all its parts: these may refer to it."""
        self._restored[where] = value
        return value

    def may_change(self, template: Any) -> bool:
        """Whether state may go into this object; the next time it may not."""
        is_free = self.in_place and id(template) not in self._taken
        self._taken[id(template)] = template
        return is_free

    def class_of(self, template: Any, name: list[str], where: str) -> type:
        """The class that was exported by its name."""
        found = type(template) if plain.name_of(type(template)) == name else plain.find_class(name)
        if found is None:
            raise CheckpointError(f"{where} is of the class {'.'.join(name)}, which is not there now.")
        return found

    def _of(self, template: Any, exported: Any, where: str) -> Any:  # noqa: PLR0911, PLR0912
        if (value := self._kinds.restore(template, exported, where, self)) is not MISSING:
            return value
        match mark(exported):
            case Mark.CODE:
                if not plain.is_code(template) and not plain.is_of_benchmark(template):
                    raise made_late(where, "a function or a class")
                return template
            case Mark.LEFT_OUT:
                if template is MISSING:
                    raise made_late(where, "not saved")
                return template
            case Mark.SAME:
                if exported[Mark.SAME] not in self._restored:
                    raise CheckpointError(f"{where} is also {exported[Mark.SAME]}, which cannot be put together again.")
                return self._restored[exported[Mark.SAME]]
            case Mark.CONSTANT:
                return plain.restore_constant(exported[Mark.CONSTANT])
            case Mark.PAIRS:
                pairs = [(self._of(MISSING, key, where), item) for key, item in exported[Mark.PAIRS]]
                return self._mapping(template, pairs, where)
            case Mark.NAMED_TUPLE:
                cls = self.class_of(template, exported[Mark.NAMED_TUPLE], where)
                return cls._make(self._items(template, exported["items"], where))
            case Mark.FROZEN_SET:
                return frozenset(self._items(MISSING, exported[Mark.FROZEN_SET], where))
            case Mark.SUBCLASS:
                return self._subclass(template, exported, where)
            case Mark.OBJECT:
                return self._object(template, exported, where)
            case Mark.SET:
                target = self.is_now(where, template if self._may_fill(template, set) else set())
                items = self._items(MISSING, exported[Mark.SET], where)
                target.clear()
                target.update(items)
                return target
            case Mark.DEQUE:
                is_alike = isinstance(template, collections.deque) and template.maxlen == exported["length"]
                old = list(template) if is_alike else MISSING
                is_filled = is_alike and self.may_change(template)
                target = self.is_now(where, template if is_filled else collections.deque(maxlen=exported["length"]))
                items = self._items(old, exported[Mark.DEQUE], where)
                target.clear()
                target.extend(items)
                return target
            case Mark.BYTE_ARRAY:
                target = template if self._may_fill(template, bytearray) else bytearray()
                target[:] = exported[Mark.BYTE_ARRAY].tobytes()
                return target
            case Mark.NUMPY:
                array = plain.restore_array(exported[Mark.NUMPY])
                if not (plain.is_alike(template, array) and self.may_change(template)):
                    return array
                template[...] = array
                return template
            case Mark.GENERATOR:
                state = exported[Mark.GENERATOR]
                if type(template).__name__ == exported["of"] and self.may_change(template):
                    return plain.restore_generator(template, state)
                return plain.restore_generator(plain.fresh_generator(exported["of"], state), state)
        match exported:
            case list():
                target = self.is_now(where, template if self._may_fill(template, list) else [])
                target[:] = self._items(template, exported, where)
                return target
            case tuple():
                return tuple(self._items(template, exported, where))
            case dict():
                return self._mapping(template, list(exported.items()), where)
        return exported

    def _may_fill(self, template: Any, cls: type) -> bool:
        return isinstance(template, cls) and self.may_change(template)

    def _items(self, template: Any, exported: list | tuple, where: str) -> list[Any]:
        old = list(template) if isinstance(template, list | tuple) else []
        old += [MISSING] * (len(exported) - len(old))
        return [self.of(old[number], item, f"{where}[{number}]") for number, item in enumerate(exported)]

    def _mapping(self, template: Any, pairs: list[tuple[Any, Any]], where: str) -> Any:
        target = self.is_now(where, template if self._may_fill(template, MutableMapping) else {})
        old = dict(template) if isinstance(template, Mapping) else {}
        new = {key: self.of(old.get(key, MISSING), item, f"{where}[{key!r}]") for key, item in pairs}
        not_saved = {key: item for key, item in old.items() if not plain.is_key(key)}
        target.clear()
        target.update(new | not_saved)
        return target

    def _subclass(self, template: Any, exported: dict[str, Any], where: str) -> Any:
        """A container of a class of its own."""
        cls = self.class_of(template, exported[Mark.SUBCLASS], where)
        content = self._of(template, exported["content"], where)
        if content is template:
            return content
        if cls in _REMADE or issubclass(cls, tuple):
            return cls(content)
        if type(template) is not cls:
            raise made_late(where, f"a {cls.__name__}")
        target = copy.copy(template)
        target.clear()
        (target.extend if isinstance(target, list | collections.deque) else target.update)(content)
        return target

    def _object(self, template: Any, exported: dict[str, Any], where: str) -> Any:
        cls = self.class_of(template, exported[Mark.OBJECT], where)
        is_alike = type(template) is cls
        old = plain.attributes(template) if is_alike else {}
        target = self.is_now(where, template if is_alike and self.may_change(template) else cls.__new__(cls))
        new = {name: self.of(old.get(name, MISSING), item, f"{where}.{name}") for name, item in exported["attributes"]}
        for name in set(plain.attributes(target)) - set(new):
            object.__delattr__(target, name)
        for name, item in new.items():
            object.__setattr__(target, name, item)  # it may be frozen
        return target


def made_late(where: str, what: str) -> CheckpointError:
    return CheckpointError(
        f"{where}, {what}, was made later than the first steps, so there is nothing yet that its state could come back "
        "to: the trial cannot go on from its checkpoint."
    )


def _exactly(cls: type, value: Any, exported: Any) -> Any:
    """Plain data for a container, with its class where that is more than a list, say."""
    return exported if type(value) is cls else {Mark.SUBCLASS: plain.name_of(type(value)), "content": exported}
