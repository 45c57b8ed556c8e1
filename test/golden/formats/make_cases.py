"""Writes safetensors-cases.json: small files, good and bad, with the reference library's verdict and ours.

Run with Python 3 and safetensors (verdicts here: safetensors 0.8.0):  python make_cases.py
`ours` is decided by hand below; `reference` is what safetensors.deserialize says: "accept" or the variant of its error.
Where we refuse what the reference accepts, `why` says the reason; nothing may be the other way round. No randomness.
"""

import base64
import ctypes
import json
import pathlib
import re
import struct

import safetensors

DTYPES = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}
A = '"a":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]}'
B = '"b":{"dtype":"I32","shape":[2,2],"data_offsets":[16,32]}'
cases = []
DUPLICATE = "two readers would see two different files"
NAME = "a name that cannot be shown safely or addressed"
ARTEFACT = "an artefact of the reference's deserialiser, which no other reader takes"
LIMIT = "beyond any real tensor; kept from overflowing"
# Why we refuse what the reference accepts.
STRICTER = {
    "2^48 + 1 times zero": LIMIT,
    "zero first, huge second": LIMIT,
    "zero first, huge dimension last": LIMIT,
    "rank 17": LIMIT,
    "rank 70": LIMIT,
    "unknown field: depth 5": LIMIT,
    "unknown field: object of depth 5": LIMIT,
    "DEL in a name": NAME,
    "empty name": NAME,
    "escaped NUL name": NAME,
    "escaped newline in a name": NAME,
    "escaped tab in a name": NAME,
    "escaped unit separator in a name": NAME,
    "duplicate metadata key": DUPLICATE,
    "duplicate metadata key by escape": DUPLICATE,
    "duplicate name by escape": DUPLICATE,
    "duplicate name, last one valid": DUPLICATE,
    "duplicate name, same range": DUPLICATE,
    "duplicate name, empty tensors": DUPLICATE,
    "three of one name": DUPLICATE,
    "duplicate unknown field": DUPLICATE,
    "duplicate key inside an unknown field": DUPLICATE,
    "dtype as an object": ARTEFACT,
    "metadata is null": ARTEFACT,
    "tensor entry is an array": ARTEFACT,
}
# Variants of SafetensorError (safetensors/src/tensor.rs) by the words they print.
VARIANTS = {
    "header too small": "HeaderTooSmall",
    "header too large": "HeaderTooLarge",
    "invalid header length": "InvalidHeaderLength",
    "invalid UTF-8 in header": "InvalidHeader",
    "invalid JSON in header": "InvalidHeaderDeserialization",
    "invalid offset for tensor `a`": "InvalidOffset",
    "incomplete metadata, file not fully covered": "MetadataIncompleteBuffer",
    "invalid shape, data type, or offset for tensor": "TensorInvalidInfo",
    "overflow computing buffer size from shape and/or element type": "ValidationOverflow",
    "The slice is slicing for subbytes dtypes, and the slice does not end up at a byte boundary, this is invalid.": "MisalignedSlice",
}


def raw(name, ours, content):
    cases.append((name, ours, content))


def header(name, ours, text, data=16):
    encoded = text if isinstance(text, bytes) else text.encode()
    raw(name, ours, struct.pack("<Q", len(encoded)) + encoded + bytes(data))


def entry(dtype="I32", shape="[2,2]", offsets="[0,16]"):
    return f'{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}'


# Sizes and lengths.
raw("empty file", "reject", b"")
raw("seven bytes", "reject", bytes(7))
raw("header length 0", "reject", bytes(8))
raw("header length 2^64 - 1", "reject", b"\xff" * 8 + b"{}")
raw("header length above the cap", "reject", struct.pack("<Q", 100_000_001) + b"{}")
raw("header longer than the file", "reject", struct.pack("<Q", 100) + b"{}")
header("empty object", "accept", "{}", 0)
header("empty object with data", "reject", "{}", 1)
header("metadata only", "accept", '{"__metadata__":{"format":"pt"}}', 0)
header("empty metadata", "accept", '{"__metadata__":{},%s}' % A)
header("one tensor", "accept", "{%s}" % A)
header("two tensors", "accept", "{%s,%s}" % (A, B), 32)
header("two tensors, listed against the order of their bytes", "accept", "{%s,%s}" % (B, A), 32)
header("metadata after the tensors", "accept", '{%s,"__metadata__":{"k":"v"}}' % A)
header("one byte short", "reject", "{%s}" % A, 15)
header("one byte long", "reject", "{%s}" % A, 17)
header("no data at all", "reject", "{%s}" % A, 0)
header("header length not a multiple of eight", "accept", "{%s} " % A)

# White space and what follows.
for label, space in [("space", " "), ("newline", "\n"), ("tab", "\t"), ("carriage return", "\r")]:
    header(f"leading {label}", "accept", space + "{%s}" % A)
    header(f"trailing {label}", "accept", "{%s}" % A + space * 3)
header("white space between all tokens", "accept",
       '{ "a" : { "dtype" : "I32" , "shape" : [ 2 , 2 ] , "data_offsets" : [ 0 , 16 ] } }')
header("trailing NUL", "reject", "{%s}\0" % A)
header("trailing junk", "reject", "{%s}x" % A)
header("a second object", "reject", "{%s}{}" % A)
header("leading form feed", "reject", "\f{%s}" % A)
header("no-break space before the object", "reject", "\u00a0{%s}" % A)
header("byte order mark", "reject", b"\xef\xbb\xbf" + ("{%s}" % A).encode())
header("UTF-16 header", "reject", ("{%s}" % A).encode("utf-16-le"))

# Text that is not UTF-8, and escapes.
header("invalid UTF-8 in a name", "reject", entry().encode().replace(b'"a"', b'"\xff"'))
header("overlong UTF-8 in a name", "reject", entry().encode().replace(b'"a"', b'"\xc0\xaf"'))
header("UTF-8 encoded surrogate", "reject", entry().encode().replace(b'"a"', b'"\xed\xa0\x80"'))
header("truncated UTF-8", "reject", entry().encode().replace(b'"a"', b'"\xe2\x82"'))
header("two-byte name", "accept", entry().replace('"a"', '"é"'))
header("astral name", "accept", entry().replace('"a"', '"\U0001f600"'))
header("astral name by escapes", "accept", entry().replace('"a"', '"\\ud83d\\ude00"'))
header("lone high surrogate", "reject", entry().replace('"a"', '"\\ud800"'))
header("lone low surrogate", "reject", entry().replace('"a"', '"\\udc00"'))
header("reversed surrogates", "reject", entry().replace('"a"', '"\\ude00\\ud83d"'))
header("high surrogate then letter", "reject", entry().replace('"a"', '"\\ud83dx"'))
header("lone surrogate in metadata", "reject", '{"__metadata__":{"k":"\\ud800"},%s}' % A)
header("escaped letter in a name", "accept", entry().replace('"a"', '"\\u0061"'))
header("escaped slash in a name", "accept", entry().replace('"a"', '"a\\/b"'))
header("unknown escape", "reject", entry().replace('"a"', '"\\x41"'))
header("short unicode escape", "reject", entry().replace('"a"', '"\\u41"'))
header("escaped field name", "accept", entry().replace("dtype", "dt\\u0079pe"))
header("raw newline in a name", "reject", entry().replace('"a"', '"a\n"'))
header("raw NUL in a name", "reject", entry().replace('"a"', '"\0"'))
header("escaped NUL name", "reject", entry().replace('"a"', '"\\u0000"'))
header("escaped newline in a name", "reject", entry().replace('"a"', '"a\\nb"'))
header("DEL in a name", "reject", entry().replace('"a"', '"a\x7f"'))
header("empty name", "reject", entry().replace('"a"', '""'))
header("escaped control in metadata", "accept", '{"__metadata__":{"k":"a\\nb"},%s}' % A)
header("raw control in metadata", "reject", '{"__metadata__":{"k":"a\nb"},%s}' % A)
header("unterminated string", "reject", '{"a')

# Names that are dangerous in JavaScript.
for name in ["__proto__", "constructor", "toString", "hasOwnProperty", "7", "prototype"]:
    header(f"tensor named {name}", "accept", entry().replace('"a"', f'"{name}"'))
header("metadata key __proto__", "accept", '{"__metadata__":{"__proto__":"x"},%s}' % A)
header("field named __proto__", "accept", '{%s}' % A.replace("}", ',"__proto__":{"polluted":true}}'))

# Duplicates.
header("duplicate name, same range", "reject", "{%s,%s}" % (A, A))
header("duplicate name, last one valid", "reject", "{%s,%s}" % (A.replace("[0,16]", "[0,8]"), A))
header("duplicate name, ranges cover the file together", "reject", "{%s,%s}" % (A, B.replace('"b"', '"a"')), 32)
header("duplicate name by escape", "reject", "{%s,%s}" % (A, A.replace('"a"', '"\\u0061"')))
header("duplicate dtype", "reject", "{%s}" % A.replace('"dtype":"I32"', '"dtype":"I32","dtype":"I32"'))
header("duplicate shape", "reject", "{%s}" % A.replace('"shape":[2,2]', '"shape":[2,2],"shape":[2,2]'))
header("duplicate offsets", "reject", "{%s}" % A.replace("[0,16]", '[0,16],"data_offsets":[0,16]'))
header("two metadata objects", "reject", '{"__metadata__":{},"__metadata__":{},%s}' % A)
header("duplicate metadata key", "reject", '{"__metadata__":{"k":"1","k":"2"},%s}' % A)
header("duplicate unknown field", "reject", "{%s}" % A.replace('"dtype"', '"x":1,"x":2,"dtype"'))

# Numbers.
for label, shape in [("2.0", "[2.0,2]"), ("2e0", "[2e0,2]"), ("2E0", "[2E0,2]"), ("-0", "[-0,2]"), ("-2", "[-2,2]"),
                     ("+2", "[+2,2]"), ("02", "[02,2]"), ("NaN", "[NaN,2]"), ("Infinity", "[Infinity,2]"),
                     ("hex", "[0x2,2]"), ("a string", '["2",2]'), ("null", "[null,2]"), ("true", "[true,2]"),
                     ("2^53 + 1", "[9007199254740993,2]"), ("2^64", "[18446744073709551616,2]"),
                     ("40 digits", "[%s,2]" % ("9" * 40)), ("1.", "[1.,2]"), ("nested", "[[2],2]")]:
    header(f"dimension {label}", "reject", entry(shape=shape))
for label, shape in [("trailing comma", "[2,2,]"), ("leading comma", "[,2,2]"), ("no comma", "[2 2]"),
                     ("unclosed", "[2,2"), ("object", "{}"), ("a number", "4"), ("a string", '"2,2"'), ("null", "null")]:
    header(f"shape: {label}", "reject", entry(shape=shape))
for label, offsets in [("one number", "[16]"), ("three numbers", "[0,16,16]"), ("none", "[]"), ("2.0", "[0,16.0]"),
                       ("negative", "[-16,0]"), ("reversed", "[16,0]"), ("starts late", "[8,24]"),
                       ("too long", "[0,24]"), ("too short", "[0,8]"), ("strings", '["0","16"]'),
                       ("2^53 + 1", "[0,9007199254740993]"), ("2^64 - 1", "[0,18446744073709551615]")]:
    header(f"offsets: {label}", "reject", entry(offsets=offsets))

# Shapes.
header("scalar", "accept", entry(shape="[]", offsets="[0,4]"), 4)
header("zero dimension", "accept", entry(shape="[0]", offsets="[0,0]"), 0)
header("zero dimension among others", "accept", entry(shape="[3,0,5]", offsets="[0,0]"), 0)
header("zero first, huge second", "reject", entry(shape="[0,9223372036854775807,4]", offsets="[0,0]"), 0)
header("huge first, zero last", "reject", entry(shape="[9223372036854775807,4,0]", offsets="[0,0]"), 0)
header("2^48 times zero", "accept", entry(shape="[0,281474976710656]", offsets="[0,0]"), 0)
header("2^48 + 1 times zero", "reject", entry(shape="[0,281474976710657]", offsets="[0,0]"), 0)
header("product overflows", "reject", entry(shape="[281474976710656,281474976710656]", offsets="[0,0]"), 0)
header("product wraps to 16 bytes", "reject", entry(dtype="U8", shape="[4294967296,4294967296,16]"))
header("rank 16", "accept", entry(dtype="U8", shape="[%s]" % ",".join(["1"] * 16), offsets="[0,1]"), 1)
header("rank 17", "reject", entry(dtype="U8", shape="[%s]" % ",".join(["1"] * 17), offsets="[0,1]"), 1)
header("rank 70", "reject", entry(dtype="U8", shape="[%s]" % ",".join(["1"] * 70), offsets="[0,1]"), 1)

# Ranges of several tensors.
header("overlap", "reject", "{%s,%s}" % (A, B.replace("[16,32]", "[8,24]")), 24)
header("hole", "reject", "{%s,%s}" % (A, B.replace("[16,32]", "[20,36]")), 36)
header("alias", "reject", "{%s,%s}" % (A, B.replace("[16,32]", "[0,16]")))
EMPTY = '"%s":{"dtype":"F32","shape":[0],"data_offsets":[%d,%d]}'
header("two empty tensors at one offset", "accept", "{%s,%s,%s}" % (EMPTY % ("x", 0, 0), EMPTY % ("y", 0, 0), A))
header("an empty tensor at the end", "accept", "{%s,%s}" % (A, EMPTY % ("x", 16, 16)))
header("an empty tensor inside another", "reject", "{%s,%s}" % (A, EMPTY % ("x", 8, 8)))
header("F64 after a U8: unaligned", "accept",
       '{"u":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"d":{"dtype":"F64","shape":[1],"data_offsets":[1,9]}}', 9)

# Structure.
for label, text in [("array", "[]"), ("string", '"a"'), ("number", "7"), ("null", "null"), ("nothing", ""),
                    ("only spaces", "    "), ("unclosed", "{"), ("closed twice", "{}}"), ("single quotes", "{'a':1}"),
                    ("comment", "{/**/}"), ("trailing comma", "{%s,}" % A), ("leading comma", "{,%s}" % A),
                    ("no colon", '{"a" {}}'), ("number as key", "{1:{}}"), ("bare word", "{a:1}")]:
    header(f"header is {label}", "reject", text, 16)
for label, value in [("null", "null"), ("a number", "1"), ("a string", '"x"'), ("an empty object", "{}"),
                     ("an array", '["I32",[2,2],[0,16]]'), ("true", "true")]:
    header(f"tensor entry is {label}", "reject", '{"a":%s}' % value)
for missing in ["dtype", "shape", "data_offsets"]:
    fields = {"dtype": '"I32"', "shape": "[2,2]", "data_offsets": "[0,16]"}
    del fields[missing]
    header(f"no {missing}", "reject", '{"a":{%s}}' % ",".join(f'"{k}":{v}' for k, v in fields.items()))
for label, value in [("null", "null"), ("a number", '{"k":1}'), ("null inside", '{"k":null}'), ("an array", "[]"),
                     ("nested", '{"k":{}}'), ("a string", '"x"')]:
    header(f"metadata is {label}", "reject", '{"__metadata__":%s,%s}' % (value, A))
for label, extra in [("number", "1"), ("string", '"x"'), ("null", "null"), ("object", '{"k":[1]}'), ("float", "-1.5e3"),
                     ("array", "[1,[2]]"), ("true", "true")]:
    header(f"unknown field: {label}", "accept", "{%s}" % A.replace('"dtype"', '"extra":%s,"dtype"' % extra))
for label, extra in [("1e400", "1e400"), ("lone surrogate", '"\\ud800"'), ("depth 5", "[[[1]]]"),
                     ("depth 200", "[" * 200 + "]" * 200), ("a bare word", "x"), ("02", "02"), ("unclosed", "[1")]:
    header(f"unknown field: {label}", "reject", "{%s}" % A.replace('"dtype"', '"extra":%s,"dtype"' % extra))
header("ten thousand open brackets", "reject", "[" * 10_000)

# Dtypes.
for dtype, bits in DTYPES.items():
    header(f"dtype {dtype}", "accept", entry(dtype=dtype, shape="[4]", offsets=f"[0,{bits // 2}]"), bits // 2)
    header(f"dtype {dtype}, one byte short", "reject",
           entry(dtype=dtype, shape="[4]", offsets=f"[0,{bits // 2 - 1}]"), bits // 2 - 1)
for dtype in ["f32", "F8", "E8M0", "BF17", "float32", "", "I4", "Bool", "__proto__", "toString"]:
    header(f"dtype {json.dumps(dtype)}", "reject", entry(dtype=dtype))
header("dtype as an object", "reject", "{%s}" % A.replace('"I32"', '{"I32":null}'))
header("dtype null", "reject", "{%s}" % A.replace('"I32"', "null"))
header("F4 with an odd count", "reject", entry(dtype="F4", shape="[3]", offsets="[0,1]"), 1)
header("F6 with three elements", "reject", entry(dtype="F6_E2M3", shape="[3]", offsets="[0,2]"), 2)

# Other files under this name.
raw("pickle protocol 2", "reject", b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01s.")
raw("pickle protocol 4", "reject", b"\x80\x04\x95\x0a\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.")
raw("zip archive", "reject", b"PK\x03\x04\x14\x00\x00\x00\x00\x00archive/data.pkl")
raw("GGUF", "reject", b"GGUF\x03\x00\x00\x00\x00\x00\x00\x00")
raw("Git LFS pointer", "reject", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
raw("HTML page", "reject", b"<!DOCTYPE html><html><body>404</body></html>")
raw("header of 640 bytes, which begins like a pickle", "accept",
    struct.pack("<Q", 640) + ("{%s}" % A).encode().ljust(640) + bytes(16))


# More of the same, where one case was thin.
header("three of one name", "reject", "{%s,%s,%s}" % (A, A, A))
header("duplicate name, empty tensors", "reject", "{%s,%s,%s}" % (EMPTY % ("x", 0, 0), EMPTY % ("x", 0, 0), A))
header("duplicate metadata key by escape", "reject", '{"__metadata__":{"k":"1","\\u006b":"2"},%s}' % A)
header("duplicate key inside an unknown field", "reject", "{%s}" % A.replace('"dtype"', '"x":{"k":1,"k":2},"dtype"'))
header("escaped tab in a name", "reject", entry().replace('"a"', '"a\\tb"'))
header("escaped unit separator in a name", "reject", entry().replace('"a"', '"\\u001f"'))
header("unknown field: object of depth 5", "reject", "{%s}" % A.replace('"dtype"', '"extra":{"a":{"b":{"c":1}}},"dtype"'))
header("zero first, huge dimension last", "reject", entry(shape="[0,18446744073709551615]", offsets="[0,0]"), 0)
header("name that is a path", "accept", entry().replace('"a"', '"../../etc/passwd"'))
header("name of right-to-left marks", "accept", entry().replace('"a"', '"\u202e\u2067x"'))
header("name of ten thousand letters", "accept", entry().replace('"a"', '"%s"' % ("n" * 10_000)))
header("metadata value of ten thousand letters", "accept", '{"__metadata__":{"k":"%s"},%s}' % ("v" * 10_000, A))
header("two hundred metadata keys", "accept",
       '{"__metadata__":{%s},%s}' % (",".join(f'"k{i}":"{i}"' for i in range(200)), A))
header("one hundred tensors", "accept",
       "{%s}" % ",".join(f'"t{i}":{{"dtype":"U8","shape":[1],"data_offsets":[{i},{i + 1}]}}' for i in range(100)), 100)
header("one hundred tensors, two of them swapped ends", "reject",
       "{%s}" % ",".join(f'"t{i}":{{"dtype":"U8","shape":[1],"data_offsets":[{i},{i + (0 if i == 50 else 1)}]}}'
                         for i in range(100)), 100)
header("largest range that is a double but no file", "reject", entry(dtype="U8", shape="[9007199254740991]",
                                                                       offsets="[0,9007199254740991]"))
header("2^48 bytes claimed by a file of 16", "reject", entry(dtype="U8", shape="[281474976710656]",
                                                               offsets="[0,281474976710656]"))
header("ranges that wrap round", "reject", entry(offsets="[18446744073709551600,18446744073709551615]"))
header("F64 with the bytes of F32", "reject", entry(dtype="F64"))
header("scalar of eight bytes", "reject", entry(shape="[]", offsets="[0,8]"), 8)
header("zero elements with bytes", "reject", entry(shape="[0]"))
header("F4 pairs", "accept", entry(dtype="F4", shape="[3,2]", offsets="[0,3]"), 3)
header("F6 in fours", "accept", entry(dtype="F6_E3M2", shape="[2,4]", offsets="[0,6]"), 6)
header("F6 with two elements", "reject", entry(dtype="F6_E3M2", shape="[2]", offsets="[0,1]"), 1)
header("data offsets before dtype", "accept", '{"a":{"data_offsets":[0,16],"shape":[2,2],"dtype":"I32"}}')
header("dtype in lower case", "reject", entry(dtype="i32"))
header("dtype with a space", "reject", entry(dtype="I32 "))
header("escaped dtype", "accept", entry().replace('"I32"', '"\\u004932"'))
header("tensor named __metadata__ with a dtype", "reject", entry().replace('"a"', '"__metadata__"'))
header("form feed between tokens", "reject", '{\f%s}' % A)
header("vertical tab between tokens", "reject", '{\v%s}' % A)
header("line separator between tokens", "reject", '{\u2028%s}' % A)
header("NUL between tokens", "reject", '{\0%s}' % A)
header("NaN as unknown field", "reject", "{%s}" % A.replace('"dtype"', '"x":NaN,"dtype"'))
header("infinity as unknown field", "reject", "{%s}" % A.replace('"dtype"', '"x":-Infinity,"dtype"'))
header("undefined as unknown field", "reject", "{%s}" % A.replace('"dtype"', '"x":undefined,"dtype"'))
header("upper-case literal", "reject", "{%s}" % A.replace('"dtype"', '"x":True,"dtype"'))
header("hash comment", "reject", "{%s # x\n}" % A)
header("UTF-32 header", "reject", ("{%s}" % A).encode("utf-32-le"))
header("Latin-1 header", "reject", entry().replace('"a"', '"\u00e9"').encode("latin-1"))
header("UTF-8 beyond U+10FFFF", "reject", entry().encode().replace(b'"a"', b'"\xf4\x90\x80\x80"'))
raw("bzip2", "reject", b"BZh91AY&SY" + bytes(20))
raw("gzip", "reject", b"\x1f\x8b\x08" + bytes(20))
raw("NumPy file", "reject", b"\x93NUMPY\x01\x00v\x00" + bytes(20))
raw("HDF5", "reject", b"\x89HDF\r\n\x1a\n" + bytes(20))
raw("JSON without a length", "reject", ("{%s}" % A).encode())
raw("big-endian length", "reject", struct.pack(">Q", len(A) + 2) + ("{%s}" % A).encode() + bytes(16))
raw("32-bit length", "reject", struct.pack("<I", len(A) + 2) + ("{%s}" % A).encode() + bytes(16))


def verdict(content):
    try:
        safetensors.deserialize(content)
        return "accept"
    except safetensors.SafetensorError as error:
        words = re.sub(r"^Error while deserializing: (?:header: )?", "", str(error))
        for known, variant in VARIANTS.items():
            if words.startswith(known.replace("`a`", "`")[:25]):
                return variant
        raise SystemExit(f"unknown error: {error}")


rows = []
for name, ours, content in cases:
    reference = verdict(content)
    if ours == "accept" and reference != "accept":
        raise SystemExit(f"{name}: we must not accept what the reference refuses ({reference})")
    if (name in STRICTER) != (ours == "reject" and reference == "accept"):
        raise SystemExit(f"{name}: ours {ours}, reference {reference}, and STRICTER says otherwise")
    why = {"why": STRICTER[name]} if name in STRICTER else {}
    rows.append({"name": name, "ours": ours, "reference": reference, **why, "file": base64.b64encode(content).decode()})
# One file as the reference writes it, for our writer to equal byte for byte.
keep_alive = []


def spec(dtype, shape, content):
    buffer = ctypes.create_string_buffer(content, max(1, len(content)))
    keep_alive.append(buffer)
    return safetensors.TensorSpec(
        dtype=dtype, shape=shape, data_ptr=ctypes.addressof(buffer), data_len=len(content)
    )


written = safetensors.serialize(
    {
        "b.weight": spec("float32", [2], struct.pack("<2f", 1.5, -2)),
        "a.weight": spec("float32", [1, 1], struct.pack("<f", 0.25)),
        "half": spec("bfloat16", [3], struct.pack("<3H", 0x3F80, 0xBF80, 0x7FC0)),
        "\uff5e": spec("uint8", [1], b"\x07"),
        "\U0001f600": spec("uint8", [1], b"\x08"),
        "flag": spec("bool", [], b"\x01"),
        "ids": spec("int64", [2], struct.pack("<2q", -1, 5)),
        'quote"\\': spec("int64", [0], b""),
    },
    {"format": "pt"},
)

assert len({row["name"] for row in rows}) == len(rows)
target = pathlib.Path(__file__).with_name("safetensors-cases.json")
lines = ",\n".join(json.dumps(row) for row in rows)
target.write_text(
    '{"safetensors":"%s","written":"%s","cases":[\n%s\n]}\n'
    % (safetensors.__version__, base64.b64encode(written).decode(), lines)
)
print(len(rows), "cases,", sum(r["ours"] != ("accept" if r["reference"] == "accept" else "reject") for r in rows), "stricter")
