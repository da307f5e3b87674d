"""What a pickle describes, without doing what it says.

A pickle is a program for a small stack machine, and Python's own machine
imports and calls what the program names. This one imports and calls nothing: a
name stays a `Name`, and so does whatever is made by calling it. Only
dictionaries, and the tensors that PyTorch rebuilds, mean something.

It makes no loop over anything but the pickle, recurses nowhere and keeps
within WINDOW and OPERATIONS: a pickle cannot ask for more.
"""

import io
import pickletools
import warnings
from dataclasses import dataclass

from keras_pose.models.torch_weights.tensors import Storage, Tensor

MAGIC = 0x1950A86A20F9469CFC6C
"""What an older file begins with."""
WINDOW = 2**26
"""Bytes that a pickle may have; the largest published ones have few million,
for the numbers of the tensors lie elsewhere."""
OPERATIONS = 2**21
"""Steps that a pickle may take; a tensor needs about 45."""
LONGEST = 1024
"""Characters of a key. Longer ones, compared again and again, take for ever."""
CONSTANTS = frozenset(
    "BININT BININT1 BININT2 INT LONG LONG1 LONG4 BINFLOAT FLOAT BINUNICODE "
    "SHORT_BINUNICODE BINUNICODE8 UNICODE STRING BINSTRING SHORT_BINSTRING "
    "BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8".split()
)
LITERALS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
DICTIONARY = "collections.OrderedDict"
REBUILT = {
    "torch._utils._rebuild_tensor": 4,
    "torch._utils._rebuild_tensor_v2": 6,
}
"""How many arguments make a tensor, at least."""
PARAMETERS = (
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
)
SUBCLASSED = "torch._tensor._rebuild_from_type_v2"
TYPES = {
    f"{place}.{kind}Storage": dtype
    for place in ("torch", "torch.cuda")
    for kind, dtype in {
        "Float": "float32",
        "Double": "float64",
        "Half": "float16",
        "BFloat16": "bfloat16",
        "Long": "int64",
        "Int": "int32",
        "Short": "int16",
        "Char": "int8",
        "Byte": "uint8",
        "Bool": "bool",
    }.items()
}


@dataclass(frozen=True, eq=False, slots=True)
class Name:
    """A class or function that a pickle names, or what it would have made."""

    text: str


DAMAGED = "it is damaged or not complete"
OPAQUE = Name("value")
"""Stands where a value is no use to anybody: it may be large, or a trap."""


def load(content, start=0, storages=None):
    """Reads the pickle that begins at byte `start` of `content`.

    Args:
        storages: dictionary that gets each `Storage` by its key.

    Returns:
        What it describes (OrderedDict is a dict, a set a list), and the
        position of the first byte behind it.

    Raises:
        ValueError: it is damaged, too large, or not one of PyTorch's.
    """
    window = io.BytesIO(content[start : start + WINDOW])
    machine = _Machine({} if storages is None else storages)
    try:
        with warnings.catch_warnings():  # of a text's escapes
            warnings.simplefilter("ignore")
            for opcode, value, _ in pickletools.genops(window):
                machine.step(opcode.name, value)
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        words = error if isinstance(error, _Refused) else DAMAGED
        raise ValueError(
            f"pickle, byte {start + window.tell():,}: {words}"
        ) from None
    if len(machine.stack) != 1 or machine.marks:
        raise ValueError(f"pickle, byte {start + window.tell():,}: {DAMAGED}")
    return machine.stack[0], start + window.tell()


class _Refused(ValueError):
    """A pickle that can be read, and that PyTorch does not write."""


class _Machine:
    """The stack, its marks and the memo; `step` does one instruction."""

    def __init__(self, storages):
        self.storages = storages
        self.stack, self.marks, self.memo, self.work = [], [], {}, 0

    def step(self, name, value):
        """Takes an instruction's name (as in `pickletools`) and its operand."""
        self.spend(1)
        stack = self.stack
        if name in CONSTANTS:
            stack.append(_constant(value))
        elif name in LITERALS:
            stack.append(LITERALS[name])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[value] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[value])
        elif name == "MARK":
            self.marks.append(stack)
            self.stack = []
        elif name in ("EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET"):
            empty = {"EMPTY_TUPLE": tuple, "EMPTY_DICT": dict}
            stack.append(empty.get(name, list)())
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            self.push(tuple(self.pop() for _ in range(count))[::-1])
        elif name in ("TUPLE", "LIST", "FROZENSET", "DICT"):
            items = self.pop_mark()
            if name == "DICT":
                self.push({})
                self.set_items(items)
            else:
                self.push(tuple(items) if name == "TUPLE" else items)
        elif name in ("APPENDS", "ADDITEMS", "APPEND"):
            items = [self.pop()] if name == "APPEND" else self.pop_mark()
            if isinstance(self.stack[-1], list):
                self.stack[-1].extend(items)
        elif name == "SETITEM":
            item = self.pop()
            self.set_items([self.pop(), item])
        elif name == "SETITEMS":
            self.set_items(self.pop_mark())
        elif name == "GLOBAL":
            stack.append(Name(value.replace(" ", ".")))
        elif name == "STACK_GLOBAL":
            attribute, module = self.pop(), self.pop()
            if max(len(module), len(attribute)) > LONGEST:
                raise _Refused(f"a name must have at most {LONGEST} characters")
            self.push(Name(".".join([module, attribute])))
        elif name in ("REDUCE", "NEWOBJ", "NEWOBJ_EX", "BUILD"):
            self.call(name)
        elif name == "OBJ":
            self.push(_named(self.pop_mark()[0]))
        elif name == "INST":
            self.pop_mark()
            self.push(Name(value.replace(" ", ".")))
        elif name == "BINPERSID":
            outside = _persistent(self.pop())
            if isinstance(outside, Storage):
                self.storages[outside.key] = outside
            self.push(outside)
        elif name == "POP" and self.stack:
            stack.pop()
        elif name in ("POP", "POP_MARK"):
            self.pop_mark()
        elif name == "DUP":
            stack.append(stack[-1])
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise _Refused(f"PyTorch writes no {name}")

    def spend(self, work):
        """Counts work; raises where there is too much of it."""
        self.work += work
        if self.work > OPERATIONS:
            raise _Refused(f"it must take at most {OPERATIONS:,} steps")

    def push(self, value):
        self.stack.append(value)

    def pop(self):
        return self.stack.pop()

    def pop_mark(self):
        """What was put onto the stack since the last mark."""
        items, self.stack = self.stack, self.marks.pop()
        return items

    def set_items(self, items):
        """Key, value, key, value ... into the dictionary on the stack."""
        mapping = self.stack[-1]
        if isinstance(mapping, dict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                mapping[_key(key)] = value

    def call(self, name):
        """REDUCE and its kin: who is called, with what; or whose state is."""
        if name == "BUILD":  # of what is inert, or a dictionary's attributes
            self.pop()
            return
        if name == "NEWOBJ_EX":
            self.pop()
        arguments, function = self.pop(), _named(self.pop())
        if not isinstance(arguments, tuple):
            raise _Refused("a function must be called with a tuple")
        if function.text == SUBCLASSED and len(arguments) > 2:
            function, arguments = _named(arguments[0]), arguments[2]
        if function.text == DICTIONARY:
            self.push({})
            for pair in arguments[0] if arguments else ():  # Python 2
                self.spend(1)
                key, value = pair
                self.set_items([key, value])
        elif function.text in REBUILT:
            if len(arguments) < REBUILT[function.text]:
                raise _Refused(
                    f"a tensor must have {REBUILT[function.text]} arguments, "
                    f"got {len(arguments)}"
                )
            # A seventh says that the numbers are to be negated.
            plain = len(arguments) < 7 or not arguments[6]
            self.push(Tensor(*arguments[:4]) if plain else function)
        elif function.text in PARAMETERS and arguments:
            self.push(arguments[0])
        else:
            self.push(function)


def _constant(value):
    """A constant; a whole number that no file needs is opaque."""
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return value if value == MAGIC else OPAQUE
    return value


def _key(value):
    """Of a dictionary. One that is slow to hash or compare becomes its own."""
    if isinstance(value, (bytes, bytearray)) and len(value) <= LONGEST:
        return bytes(value).decode("latin-1")
    plain = isinstance(value, (str, int, float, type(None)))
    if not plain or isinstance(value, str) and len(value) > LONGEST:
        return Name("key")
    return value


def _named(value):
    """What is called: a `Name`, else an error."""
    if not isinstance(value, Name):
        kind = type(value).__name__
        raise _Refused(f"what is called must be a name, got a {kind}")
    return value


def _persistent(value):
    """What lies outside the pickle: a `Storage`, or a class with its source."""
    if not isinstance(value, tuple) or not value:
        raise _Refused("a persistent id must be a tuple that is not empty")
    kind, *rest = value
    if kind in ("module", b"module") and rest:
        return rest[0]
    if kind not in ("storage", b"storage") or len(rest) not in (4, 5):
        raise _Refused("a persistent id must be that of a storage")
    place, key, _, count = rest[:4]
    view = rest[4] if len(rest) == 5 else None
    kind = _named(place).text
    return Storage(_key(key), TYPES.get(kind, kind), count, view)
