// Names what a file really is when it is not the safetensors file that was expected.
//
// Pickles and archives are recognised by their first bytes and never opened: loading one would run its code.

const CONVERT =
  "convert it with save_pretrained(folder, safe_serialization=True) in transformers and point here again";

const KINDS: { kind: string; bytes: number[]; hint: string }[] = [
  { kind: "a zip archive (PyTorch checkpoint or .npz)", bytes: [0x50, 0x4b, 0x03, 0x04], hint: CONVERT },
  {
    kind: "a GGUF file",
    bytes: [...Buffer.from("GGUF")],
    hint: "point at the original safetensors checkpoint",
  },
  {
    kind: "a Git LFS pointer",
    bytes: [...Buffer.from("version https://git-lfs")],
    hint: "run `git lfs pull` in that folder to fetch the file itself",
  },
  {
    kind: "an HTML page",
    bytes: [...Buffer.from("<!")],
    hint: "fetch the file again: a web page was saved in its place",
  },
  {
    kind: "an HTML page",
    bytes: [...Buffer.from("<h")],
    hint: "fetch the file again: a web page was saved in its place",
  },
  {
    kind: "a NumPy file",
    bytes: [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59],
    hint: "save it with safetensors.numpy.save_file",
  },
  { kind: "an HDF5 file", bytes: [0x89, 0x48, 0x44, 0x46], hint: CONVERT },
];

/** What the first bytes say the file is, with a hint; undefined when they say nothing. */
export function recogniseForeignFile(start: Uint8Array): { kind: string; hint: string } | undefined {
  // Pickle protocols 2 to 5, then an opcode. 80 02 00… alone may be the length word of a 640-byte safetensors header.
  if (start[0] === 0x80 && start[1] >= 2 && start[1] <= 5 && start[2] >= 0x20)
    return { kind: "a Python pickle", hint: CONVERT };
  return KINDS.find(
    ({ bytes }) => start.length >= bytes.length && bytes.every((byte, i) => start[i] === byte),
  );
}
