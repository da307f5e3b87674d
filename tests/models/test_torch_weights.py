"""Weights of PyTorch are read from files that are written here, byte by byte.

Also from damaged files and from hostile ones; what PyTorch itself writes is
read where it is installed.
"""

import hashlib
import io
import json
import os
import re
import struct
import sys
import zipfile
import zlib

import numpy as np
import pytest

from keras_pose import untrusted
from keras_pose.models import torch_weights
from keras_pose.models.torch_weights import containers, pickles

# Pieces of a pickle, https://docs.python.org/3/library/pickletools.html


def text(value):
    content = value.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def number(value):
    size = value.bit_length() // 8 + 1
    content = value.to_bytes(size, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def group(*items):
    return b"(" + b"".join(items) + b"t"


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def call(function, *arguments):
    return function + group(*arguments) + b"R"


def mapping(entries, empty=b"}"):
    items = b"".join(text(key) + value for key, value in entries.items())
    return empty + b"(" + items + b"u"


def pickled(body):
    return b"\x80\x02" + body + b"."


def integers(values):
    return group(*(number(value) for value in values))


def storage(key, count, kind="Float", view=None):
    parts = [
        text("storage"),
        name("torch", f"{kind}Storage"),
        text(key),
        text("cpu"),
        number(count),
    ]
    return group(*parts, *([view] if view else [])) + b"Q"


def tensor(place, size, stride, offset=0):
    rebuild = name("torch._utils", "_rebuild_tensor_v2")
    hooks = name("collections", "OrderedDict") + b")R"
    numbers = number(offset), integers(size), integers(stride)
    return call(rebuild, place, *numbers, b"\x89", hooks)


def archive(body, storages, order=None, packing=zipfile.ZIP_STORED):
    """The zip archive that PyTorch writes since 1.6."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as file:
        file.writestr("net/data.pkl", pickled(body))
        if order is not None:
            file.writestr("net/byteorder", order)
        for key, content in storages.items():
            file.writestr(f"net/data/{key}", content)
    return buffer.getvalue()


def stream(body, storages, itemsize=4, protocol=1001, little=b"\x88"):
    """The older file; `itemsize` holds for all storages."""
    parts = [
        pickled(number(0x1950A86A20F9469CFC6C)),
        pickled(number(protocol)),
        pickled(mapping({"little_endian": little})),
        pickled(body),
        pickled(b"](" + b"".join(map(text, storages)) + b"e"),
    ]
    for content in storages.values():
        parts += [struct.pack("<q", len(content) // itemsize), content]
    return b"".join(parts)


def safetensors(header, content):
    head = json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + content


SIX = np.arange(6, dtype="<f4") + 0.5
CONTENT = {"0": SIX.tobytes(), "1": np.float32([7, 8]).tobytes()}
WEIGHTS = mapping(
    {
        "conv.weight": tensor(storage("0", 6), (2, 3), (3, 1)),
        "conv.bias": tensor(storage("1", 2), (2,), (1,)),
    }
)
SAFE = safetensors(
    {
        "conv.weight": {
            "dtype": "F32",
            "shape": [2, 3],
            "data_offsets": [0, 24],
        },
        "conv.bias": {"dtype": "F32", "shape": [2], "data_offsets": [24, 32]},
    },
    CONTENT["0"] + CONTENT["1"],
)
FILES = {
    "archive": archive(WEIGHTS, CONTENT, b"little"),
    "stream": stream(WEIGHTS, CONTENT),
    "safetensors": SAFE,
}
KINDS = {"archive": archive, "stream": stream}


@pytest.fixture
def read(tmp_path):
    """Reads the weights in the bytes of a file."""

    def run(content):
        path = tmp_path / "weights.pth.tar"
        path.write_bytes(content)
        return torch_weights.read(path)

    return run


def sentence(error):
    """What an error says behind the name of the file: one short line."""
    words = str(error)
    assert "weights.pth.tar: " in words
    assert words.isprintable() and len(words) < 500
    return words.partition("weights.pth.tar: ")[2]


@pytest.fixture
def refusal(read):
    """The one line that says why a file is not read."""

    def run(content):
        with pytest.raises(ValueError) as caught:
            read(content)
        return sentence(caught.value)

    return run


@pytest.mark.parametrize("kind", FILES)
def test_each_container_gives_the_same_arrays(read, kind):
    found = read(FILES[kind]).tensors
    assert list(found) == ["conv.weight", "conv.bias"] or kind == "safetensors"
    assert found["conv.weight"].dtype == np.float32
    np.testing.assert_array_equal(
        found["conv.weight"], [[0.5, 1.5, 2.5], [3.5, 4.5, 5.5]]
    )
    np.testing.assert_array_equal(found["conv.bias"], [7, 8])
    with pytest.raises(ValueError, match="read-only"):
        found["conv.bias"][0] = 1


@pytest.mark.parametrize("kind", KINDS)
def test_views_of_one_storage_lie_where_their_strides_say(read, kind):
    place = storage("0", 6)
    body = mapping(
        {
            "turned": tensor(place, (3, 2), (1, 3)),
            "second row": tensor(place, (3,), (1,), 3),
            "last": tensor(place, (), (), 5),
            "none": tensor(place, (0, 3), (3, 1), 6),
        }
    )
    found = read(KINDS[kind](body, {"0": CONTENT["0"]})).tensors
    np.testing.assert_array_equal(found["turned"], SIX.reshape(2, 3).T)
    np.testing.assert_array_equal(found["second row"], [3.5, 4.5, 5.5])
    assert found["last"].shape == () and found["last"] == 5.5
    assert found["none"].shape == (0, 3)
    assert np.shares_memory(found["turned"], found["second row"])


TYPES = {
    "Double": np.float64([1.5, -2]),
    "Float": np.float32([1.5, -2]),
    "Half": np.float16([1.5, -2]),
    "Long": np.int64([2**40, -2]),
    "Int": np.int32([2**20, -2]),
    "Short": np.int16([300, -2]),
    "Char": np.int8([100, -2]),
    "Byte": np.uint8([200, 2]),
    "Bool": np.array([True, False]),
}


@pytest.mark.parametrize("kind", TYPES)
def test_each_type_keeps_its_numbers(read, kind):
    values = TYPES[kind]
    body = mapping({"x": tensor(storage("0", 2, kind), (2,), (1,))})
    for content in (
        archive(body, {"0": values.tobytes()}),
        stream(body, {"0": values.tobytes()}, values.itemsize),
        archive(body, {"0": values.byteswap().tobytes()}, b"big"),
    ):
        found = read(content).tensors["x"]
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, values)


def test_bfloat16_becomes_float32(read):
    # 0x3fc0 is 1.5: the upper half of float32's 0x3fc00000
    content = struct.pack("<2H", 0x3FC0, 0xC000)
    body = mapping({"x": tensor(storage("0", 2, "BFloat16"), (2,), (1,))})
    header = {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}
    for file in (
        archive(body, {"0": content}),
        stream(body, {"0": content}, 2),
        safetensors({"x": header}, content),
    ):
        found = read(file).tensors["x"]
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, [1.5, -2])


def test_any_byte_of_a_bool_but_0_is_true(read):
    body = mapping({"x": tensor(storage("0", 3, "Bool"), (3,), (1,))})
    found = read(archive(body, {"0": b"\0\1\2"})).tensors["x"]
    np.testing.assert_array_equal(found, [False, True, True])


def test_safetensors_holds_scalars_and_empty_tensors(read):
    header = {
        "scalar": {"dtype": "I64", "shape": [], "data_offsets": [0, 8]},
        "none": {"dtype": "F16", "shape": [0, 2, 3], "data_offsets": [8, 8]},
        "cube": {"dtype": "U8", "shape": [1, 2, 3], "data_offsets": [8, 14]},
    }
    content = struct.pack("<q", -5) + bytes(range(6))
    found = read(safetensors(header, content)).tensors
    assert found["scalar"] == -5 and found["scalar"].shape == ()
    assert found["none"].shape == (0, 2, 3)
    np.testing.assert_array_equal(found["cube"], [[[0, 1, 2], [3, 4, 5]]])


def test_files_of_2017_have_four_arguments_bytes_for_keys_and_views(read):
    view = group(b"U\x011", number(2), number(3))
    place = storage("0", 6, view=view).replace(text("storage"), b"U\x07storage")
    rebuild = name("torch._utils", "_rebuild_tensor")
    body = call(rebuild, place, number(1), integers((2,)), integers((1,)))
    file = stream(b"}(U\x04mean" + body + b"u", {"0": CONTENT["0"]})
    np.testing.assert_array_equal(read(file).tensors["mean"], [3.5, 4.5])


def test_an_ordered_dictionary_of_python_2_comes_as_a_list_of_pairs(read):
    pair = b"](" + text("x") + tensor(storage("1", 2), (2,), (1,)) + b"e"
    body = call(name("collections", "OrderedDict"), b"](" + pair + b"e")
    found = read(stream(body, {"1": CONTENT["1"]})).tensors
    np.testing.assert_array_equal(found["x"], [7, 8])


def test_parameters_and_tensors_with_attributes_are_tensors(read):
    plain = tensor(storage("1", 2), (2,), (1,))
    parameter = name("torch._utils", "_rebuild_parameter")
    arguments = group(
        storage("1", 2),
        number(1),
        integers((1,)),
        integers((1,)),
        b"\x89",
        b"}",
    )
    from_type = call(
        name("torch._tensor", "_rebuild_from_type_v2"),
        name("torch._utils", "_rebuild_tensor_v2"),
        name("torch", "Tensor"),
        arguments,
        b"}",
    )
    entries = {"p": call(parameter, plain, b"\x88", b"}"), "t": from_type}
    found = read(archive(mapping(entries), CONTENT)).tensors
    np.testing.assert_array_equal(found["p"], [7, 8])
    np.testing.assert_array_equal(found["t"], [8])


ONE = tensor(storage("1", 2), (2,), (1,))


@pytest.mark.parametrize(
    "place, prefix",
    [
        ("", ""),
        ("", "module."),
        ("state_dict", "module."),
        ("state_dict", "model.module."),
        ("best_state_dict", ""),
        ("network", "module."),
        ("model", "model."),
        ("ema", ""),
    ],
)
def test_weights_are_found_where_published_files_have_them(read, place, prefix):
    entries = {f"{prefix}conv.weight": ONE, f"{prefix}bn.running_var": ONE}
    body = mapping(entries)
    if place:
        momentum = mapping({"step": ONE})
        body = mapping({"epoch": number(3), "optimizer": momentum, place: body})
    found = read(archive(body, CONTENT))
    assert list(found.tensors) == ["conv.weight", "bn.running_var"]
    assert (found.place, found.prefix) == (place, prefix)
    assert found.ignored == (("epoch", "optimizer") if place else ())


def test_a_prefix_that_one_name_lacks_is_part_of_the_names(read):
    found = read(archive(mapping({"module.x": ONE, "y": ONE}), CONTENT))
    assert list(found.tensors) == ["module.x", "y"] and not found.prefix


def test_what_no_network_computes_with_is_ignored_by_name(read):
    entries = dict.fromkeys(
        (
            "module.bn.num_batches_tracked",
            "n_averaged",
            "module.conv.weight",
            "module.head.linspace_x",
            "data_preprocessor.mean",
        ),
        ONE,
    )
    entries["text"] = text("not a tensor")
    found = read(archive(mapping(entries), CONTENT))
    assert list(found.tensors) == ["conv.weight"]
    assert set(found.ignored) == set(entries) - {"module.conv.weight"}


def test_of_equal_weights_those_of_the_state_dict_are_taken(read):
    weights = mapping({"x": ONE})
    body = mapping({"ema": weights, "state_dict": weights})
    found = read(archive(body, CONTENT))
    assert (found.place, found.ignored) == ("state_dict", ("ema",))


def test_the_digest_is_that_of_the_file(read):
    content = FILES["stream"]
    assert read(content).sha256 == hashlib.sha256(content).hexdigest()


# Nothing is executed


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_pickle_calls_is_not_called(read, tmp_path, monkeypatch, kind):
    (tmp_path / "trap.py").write_text("open('imported', 'w')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    touch = text(f"touch {tmp_path / 'called'}")
    state = name("trap", "Trap") + b")\x81" + mapping({"__class__": touch})
    entries = {
        "a": call(name("os", "system"), touch),
        "b": call(name("builtins", "exec"), text("open('called', 'w')")),
        "c": state + b"b",
        "d": b"(" + touch + b"ios\nsystem\n",
        "e": b"(" + name("os", "system") + touch + b"o",
        "f": text("os") + text("system") + b"\x93" + touch + b"\x85R",
        "g": call(call(name("builtins", "getattr"), text("os")), touch),
        "x": ONE,
    }
    found = read(KINDS[kind](mapping(entries), {"1": CONTENT["1"]}))
    assert list(found.tensors) == ["x"] and found.ignored == tuple("abcdefg")
    assert sorted(os.listdir(tmp_path)) == ["trap.py", "weights.pth.tar"]
    assert "trap" not in sys.modules


def test_the_pickle_does_what_it_says_where_python_itself_reads_it(
    tmp_path,
):
    import pickle

    made = tmp_path / "called"
    pickle.loads(pickled(call(name("os", "mkdir"), text(str(made)))))
    assert made.is_dir()


# Damage


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_ends_too_early_is_refused_wherever_it_ends(refusal, kind):
    for end in range(len(FILES[kind])):
        assert refusal(FILES[kind][:end])


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("bits", [0x01, 0x80, 0xFF])
def test_another_byte_gives_arrays_or_one_line(read, kind, bits):
    refused = 0
    for place in range(len(FILES[kind])):
        content = bytearray(FILES[kind])
        content[place] ^= bits
        try:
            found = read(bytes(content))
        except ValueError as error:
            assert sentence(error)
            refused += 1
        else:  # every number can be read
            assert all(a.tobytes() is not None for a in found.tensors.values())
    assert refused > len(FILES[kind]) / 4


def test_another_byte_of_the_numbers_in_an_archive_is_noticed(refusal):
    place = FILES["archive"].index(CONTENT["0"])
    content = bytearray(FILES["archive"])
    content[place + 5] ^= 4
    assert "net/data/0' is damaged: its checksum" in refusal(bytes(content))


PAGE = b"\n<!DOCTYPE html><title>Google Drive - Virus scan warning</title>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n"


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "got an empty file"),
        (b" \n", "got an empty file"),
        (PAGE, "got a web page"),
        (POINTER, "git lfs pull"),
        (bytes(257) + b"ustar\x0000" + bytes(248), "got a tar archive"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "begins with 89 48 44 46"),
        (pickled(b"}"), "magic number"),
        (stream(WEIGHTS, CONTENT, protocol=1002), "must be 1001, got 1002"),
        (stream(WEIGHTS, CONTENT, little=b"\x89"), "little-endian machine"),
        (archive(WEIGHTS, CONTENT, b"middle"), "byteorder must be little or"),
        (archive(WEIGHTS, CONTENT, b""), "byteorder must be little or big"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_name(refusal, content, words):
    assert words in refusal(content)


def test_a_file_without_weights_says_what_it_has(refusal):
    momentum = mapping({"exp_avg": ONE})
    deep = mapping({"state": mapping({"0": momentum})})
    body = mapping({"epoch": number(3), "optimizer": deep})
    assert "got only 'epoch', 'optimizer'" in refusal(archive(body, CONTENT))
    assert "an empty dictionary" in refusal(archive(b"}", {}))
    assert "got a list" in refusal(archive(b"]", {}))
    network = name("torchvision.models.resnet", "ResNet") + b")\x81"
    words = refusal(archive(network, {}))
    assert "torchvision.models.resnet.ResNet" in words
    assert "safetensors.torch.save_file" in words


# Sizes that lie


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "size, stride, offset, words",
    [
        ((2, 4), (4, 1), 0, "got element 7"),
        ((2, 3), (3, 1), 1, "got element 6"),
        ((6,), (2,), 0, "got element 10"),
        ((1,), (1,), 2**62, f"got element {2**62:,}"),
        ((0,), (1,), 7, "got element 6"),
        ((2**20, 2**20), (0, 0), 0, f"got {2**40:,}"),
        ((7,), (0,), 0, "at most the 6 elements of its storage, got 7"),
        ((2**40,), (1,), 0, f"got element {2**40 - 1:,}"),
        ((2**62, 2**62), (0, 0), 0, f"got {2**124:,}"),
        ((0, 2**62), (1, 1), 0, "size must be below"),
        ((2, 3), (-3, 1), 3, "stride must be 0 or more, got -3"),
        ((-2, 3), (3, 1), 0, "size must be 0 or more, got -2"),
        ((2, 3), (3, 1), -1, "offset must be 0 or more, got -1"),
        ((2, 3), (1,), 0, "stride must have 2 numbers, got 1"),
        ((1,) * 33, (1,) * 33, 0, "size must be at most 32 numbers"),
        ((2**200,), (1,), 0, "size must be 0 or more, got a Name"),
    ],
)
def test_a_tensor_that_leaves_its_storage_is_refused(
    refusal, kind, size, stride, offset, words
):
    body = mapping({"w": tensor(storage("0", 6), size, stride, offset)})
    found = refusal(KINDS[kind](body, {"0": CONTENT["0"]}))
    assert found.startswith("tensor 'w': ") and words in found


@pytest.mark.parametrize(
    "count, kind, words",
    [
        (7, "Float", "must have 7 numbers of 4 bytes, got 24 bytes"),
        (5, "Float", "must have 5 numbers of 4 bytes, got 24 bytes"),
        (6, "Double", "must have 6 numbers of 8 bytes, got 24 bytes"),
        (2**40, "Float", f"must have {2**40:,} numbers of 4 bytes"),
        (-1, "Float", "must be 0 or more, got -1"),
        (6, "QUInt8", "type must be one of float64,"),
    ],
)
def test_a_storage_of_another_size_is_refused(refusal, count, kind, words):
    body = mapping({"w": tensor(storage("0", count, kind), (2,), (1,))})
    assert words in refusal(archive(body, {"0": CONTENT["0"]}))


def test_a_stream_whose_storage_is_too_long_or_missing_is_refused(refusal):
    body = mapping({"w": tensor(storage("0", 6), (2,), (1,))})
    whole = stream(body, {"0": CONTENT["0"]})
    for count in (7, 2**40, 2**64 - 1):
        claimed = whole[:-32] + struct.pack("<Q", count) + CONTENT["0"]
        assert "'0' must end at byte" in refusal(claimed)
    assert "must have 6 numbers" in refusal(
        whole[:-32] + struct.pack("<Q", 5) + CONTENT["0"]
    )
    assert "storage '0' must be in the file" in refusal(stream(body, {}))
    words = refusal(stream(body, {"0": CONTENT["0"], "9": b"1234"}))
    assert "storage '9' must belong to a tensor" in words


@pytest.mark.parametrize("key", ["2", "../data.pkl", "/etc/passwd", "", "a\0"])
def test_a_storage_is_a_member_of_the_archive_not_a_path(refusal, key):
    body = mapping({"w": tensor(storage(key, 2), (2,), (1,))})
    words = refusal(archive(body, CONTENT))
    assert re.search(r"'net/data/.*' must be in the archive", words)


def test_parts_of_a_storage_lie_in_it(refusal):
    for first, count in ((5, 2), (-1, 2), (0, 2**40)):
        view = group(text("1"), number(first), number(count))
        place = storage("0", 6, view=view)
        body = mapping({"w": tensor(place, (1,), (1,))})
        words = refusal(stream(body, {"0": CONTENT["0"]}))
        assert "part" in words


def test_one_storage_has_one_type(refusal):
    entries = {
        "a": tensor(storage("0", 6), (6,), (1,)),
        "b": tensor(storage("0", 6, "Int"), (6,), (1,)),
    }
    words = refusal(archive(mapping(entries), CONTENT))
    assert "must be 6 times int32, got 6 times float32" in words


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2**33, 2**33], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]},
        {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
        {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]},
        {"dtype": "F33", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F8_E5M2", "shape": [8], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2]},
        [],
    ],
)
def test_a_header_of_safetensors_that_lies_is_refused(refusal, entry):
    assert refusal(safetensors({"w": entry}, bytes(8)))


def test_a_header_of_safetensors_has_a_limit(refusal):
    content = struct.pack("<Q", 2**60) + b"{}"
    assert "header must have at most" in refusal(content)


# Bombs: each of these files is small, and would fill memory or never end


@pytest.mark.parametrize(
    "body",
    [
        b"(" * 100_000,
        b"]" * 100_000 + b"a" * 99_999,
        b")" + b"\x85" * 100_000,
        b"]" + b"]a" * 100_000,
        b"}r\xff\xff\xff\xff",
        b"\x8a\xff" + b"\xff" * 255,
        b"\x8b\xff\xff\xff\x7f" + b"\xff" * 99,
        b"\x8e" + struct.pack("<Q", 2**62),
        b"\x8d" + struct.pack("<Q", 2**40) + b"abc",
        b"\x96" + struct.pack("<Q", 2**40) + b"abc",
        b"\x95" + struct.pack("<Q", 2**63) + b"}",
        b"I" + b"9" * 10**5 + b"\n",
        b"V" + b"\\u00e9" * 10**5 + b"\n",
        b"0",
        b"R",
        b"}}s",
        b"h\x05",
        b"Pstorage\n",
        b"\x82\x01",
        b"N)R",
        b"\x97",
        b"\xff",
    ],
    ids=lambda body: body[:8].hex(),
)
def test_a_pickle_that_asks_for_too_much_is_refused(refusal, body):
    assert refusal(archive(body, {}))
    assert refusal(stream(body, {}))


def test_a_pickle_has_a_limit_of_steps(refusal, monkeypatch):
    monkeypatch.setattr(pickles, "OPERATIONS", 1000)
    words = refusal(archive(mapping({"x": b"N0" * 1000 + ONE}), CONTENT))
    assert "at most 1,000 steps" in words
    pairs = b"](" + b"".join(b"NN\x86" for _ in range(100)) + b"eq\0"
    again = b"ccollections\nOrderedDict\nh\0\x85R0" * 100
    words = refusal(
        archive(mapping({"x": pairs + b"0" + again + ONE}), CONTENT)
    )
    assert "at most 1,000 steps" in words


@pytest.mark.filterwarnings("error")
def test_a_text_with_unknown_escapes_is_read_without_a_warning(read):
    body = mapping({"x": ONE, "y": b"S'\\q'\n"})
    assert read(archive(body, CONTENT)).ignored == ("y",)


def test_a_pickle_has_a_limit_of_bytes(refusal, monkeypatch):
    monkeypatch.setattr(pickles, "WINDOW", 200)
    assert "not complete" in refusal(archive(WEIGHTS, CONTENT))


def test_what_is_deep_or_grows_is_let_go(read):
    """Deeper than the stack of C, and 2**40 elements if walked through."""
    double = b")" + b"2\x86" * 40
    rebuild = name("torch._utils", "_rebuild_tensor") + b"q\0"
    deep = rebuild + b"h\0(" * 50_000 + b"N" + b"NNNtR" * 50_000
    entries = {
        "deep": deep + b"\x86",
        "double": double,
        "key": b"}" + double + b"Ns",
        "long": b"}" + text("k" * 5000) + b"Ns",
        "x": ONE,
    }
    found = read(archive(mapping(entries), CONTENT))
    assert list(found.tensors) == ["x"]
    assert found.ignored == ("deep", "double", "key", "long")


def test_errors_do_not_walk_through_what_a_tensor_is_made_of(refusal):
    double = b")" + b"2\x86" * 40
    rebuild = name("torch._utils", "_rebuild_tensor")
    for wrong in (double, b"]", text("x" * 100_000), b"}"):
        body = call(rebuild, storage("0", 6), wrong, wrong, wrong)
        assert refusal(archive(mapping({"w": body}), CONTENT))
        place = group(text("storage"), wrong, wrong, wrong, wrong) + b"Q"
        assert refusal(archive(mapping({"w": place}), CONTENT))


def test_a_mapping_that_is_named_often_is_counted_once(refusal, monkeypatch):
    count = []
    found = torch_weights._tensors
    monkeypatch.setattr(
        torch_weights, "_tensors", lambda m: count.append(1) or found(m)
    )
    entries = {"a": b"}q\0"} | {str(key): b"h\0" for key in range(1000)}
    assert "weights must be by name" in refusal(archive(mapping(entries), {}))
    assert len(count) == 2  # the file and its one mapping


def test_a_packed_archive_is_refused_before_it_is_unpacked(refusal):
    body = mapping({"w": tensor(storage("0", 2**22), (2,), (1,))})
    bomb = archive(body, {"0": bytes(2**24)}, packing=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 2**16
    assert "must be stored, got a packed file" in refusal(bomb)


def local(title, content):
    """A member of a zip archive with its header."""
    sizes = zlib.crc32(content), len(content), len(content), len(title)
    fixed = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 0, *sizes, 0)
    return fixed + title.encode() + content


def nested(body, titles):
    """An archive whose members lie in one another: each has all later ones."""
    places, inner = [], b""
    for title in reversed(titles):
        places.append((title, len(inner), inner))
        inner = local(title, inner)
    pickle = local("net/data.pkl", pickled(body))
    entries = [("net/data.pkl", 0, pickled(body))]
    for title, _, content in places:
        begin = len(pickle) + len(inner) - len(local(title, content))
        entries.append((title, begin, content))
    central = b""
    for title, begin, content in entries:
        sizes = zlib.crc32(content), len(content), len(content), len(title)
        central += struct.pack(
            *("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 0, *sizes),
            *(0, 0, 0, 0, 0, begin),
        )
        central += title.encode()
    count, start = len(entries), len(pickle) + len(inner)
    end = struct.pack(
        *("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(central), start, 0)
    )
    return pickle + inner + central + end


def test_members_of_an_archive_that_lie_in_one_another_are_refused(refusal):
    """bfloat16 is copied: few bytes under many names would fill memory."""
    titles = [f"net/data/{key:03}" for key in range(99)]
    size = len(local(titles[0], b""))
    entries = {}
    for key in range(99):
        count = size * (98 - key) // 2
        place = storage(f"{key:03}", count, "BFloat16")
        entries[f"w{key}"] = tensor(place, (1,), (1,))
    del entries["w98"]  # empty
    file = nested(mapping(entries), titles)
    assert len(file) < 40_000 < size * 98 * 99 / 2
    words = refusal(file)
    # newer versions of Python notice it themselves
    assert "smaller than the file" in words or "Overlapped" in words


def test_names_in_an_archive_occur_once_and_are_few(refusal, monkeypatch):
    buffer = io.BytesIO(FILES["archive"])
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        zipfile.ZipFile(buffer, "a") as file,
    ):
        file.writestr("net/data/0", bytes(24))
    assert "its own name" in refusal(buffer.getvalue())
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a/data.pkl", b"")
        file.writestr("b/data.pkl", b"")
    assert "one data.pkl, got 2 among 2" in refusal(buffer.getvalue())
    monkeypatch.setattr(containers, "MEMBERS", 3)
    assert "at most 3 files" in refusal(FILES["archive"])


def test_a_file_has_a_limit_of_bytes(read, monkeypatch):
    monkeypatch.setattr(untrusted, "FILE_BYTES", 100)
    with pytest.raises(ValueError, match="weights.* must have at most 100 by"):
        read(FILES["stream"])


def test_what_is_no_file_is_refused_and_not_waited_for(no_file):
    with pytest.raises(ValueError, match="cannot be read"):
        torch_weights.read(no_file)


def test_a_file_that_is_missing_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        torch_weights.read(tmp_path / "missing.pth")


def test_names_that_a_terminal_would_obey_are_refused(refusal, read):
    words = refusal(archive(mapping({"\x1b[2J": ONE}), CONTENT))
    assert r"must be printable, got '\x1b[2J'" in words
    found = read(archive(mapping({"x": ONE, "\x1b[2J": b"N"}), CONTENT))
    assert found.ignored == (r"\x1b[2J",)


# What PyTorch writes


@pytest.fixture(params=[True, False], ids=["archive", "stream"])
def saved(request, tmp_path):
    """Saves with PyTorch and reads what it wrote."""
    torch = pytest.importorskip("torch")

    def run(content, **options):
        path = tmp_path / "torch.pth"
        archived = request.param
        torch.save(
            content, path, _use_new_zipfile_serialization=archived, **options
        )
        return torch_weights.read(path)

    return run


def test_every_type_of_pytorch_is_read_as_it_was_saved(saved):
    torch = pytest.importorskip("torch")
    values = torch.tensor([[1.5, 0, -2], [100, 7, 3]])
    weights = {
        str(dtype): values.to(dtype)
        for dtype in (
            *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
            *(torch.int64, torch.int32, torch.int16, torch.int8, torch.bool),
        )
    }
    found = saved(weights).tensors
    assert list(found) == list(weights)
    for name, tensor in weights.items():
        wanted = tensor
        if tensor.dtype == torch.bfloat16:
            wanted = tensor.float()
        assert found[name].dtype == wanted.numpy().dtype
        np.testing.assert_array_equal(found[name], wanted.numpy())


def test_views_of_pytorch_are_read_as_they_were_saved(saved):
    torch = pytest.importorskip("torch")
    whole = torch.arange(120.0).reshape(4, 5, 6)
    weights = {
        "whole": whole,
        "permuted": whole.permute(2, 0, 1),
        "part": whole[1:3, ::2, 3],
        "last channels": whole[None].to(memory_format=torch.channels_last),
        "scalar": whole[3, 4, 5],
        "empty": whole[:, :0],
        "parameter": torch.nn.Parameter(whole[2]),
        "other": torch.ones(3, 2).t(),
    }
    weights["with attribute"] = torch.arange(3.0)
    weights["with attribute"].note = "kept by PyTorch"
    found = saved(weights).tensors
    assert list(found) == list(weights)
    for name, tensor in weights.items():
        np.testing.assert_array_equal(found[name], tensor.detach().numpy())
    assert np.shares_memory(found["whole"], found["part"])


@pytest.mark.parametrize("protocol", [1, 2, 4])
def test_a_checkpoint_with_optimizer_and_epoch_gives_its_weights(
    saved, protocol
):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, (2, 3)), torch.nn.BatchNorm2d(4)
    )
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.randn(2, 3, 8, 12)).square().sum().backward()
    optimizer.step()
    weights = network.state_dict()
    checkpoint = {
        "epoch": 7,
        "arch": "two layers",
        "state_dict": {f"module.{k}": v for k, v in weights.items()},
        "best_acc": np.float64(0.5),
        "optimizer": optimizer.state_dict(),
    }
    found = saved(checkpoint, pickle_protocol=protocol)
    assert (found.place, found.prefix) == ("state_dict", "module.")
    assert found.ignored == (
        *("epoch", "arch", "best_acc", "optimizer"),
        "module.1.num_batches_tracked",
    )
    assert set(found.tensors) == set(weights) - {"1.num_batches_tracked"}
    for name, array in found.tensors.items():
        np.testing.assert_array_equal(array, weights[name].numpy())
    bare = saved(weights, pickle_protocol=protocol)
    assert bare.place == "" and set(bare.tensors) == set(found.tensors)


def test_a_whole_network_of_pytorch_is_refused_with_advice(saved):
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match=r"Conv2d.*save_file"):
        saved(torch.nn.Conv2d(3, 4, 2))


def test_what_expands_beyond_its_storage_is_refused(saved):
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match="at most the 1 elements"):
        saved({"w": torch.zeros(1).expand(3)})


def test_safetensors_by_its_own_library_are_read(tmp_path):
    from safetensors.numpy import save_file

    weights = {"b": np.arange(6.0).reshape(2, 3), "a": np.int64([[1]])}
    save_file(weights, tmp_path / "x.safetensors", metadata={"by": "a test"})
    found = torch_weights.read(tmp_path / "x.safetensors").tensors
    assert set(found) == {"a", "b"}
    for name, array in weights.items():
        np.testing.assert_array_equal(found[name], array)
