// Token ids as people read them: " Lord", "<bos>", "\xE2".
//
// Undoes the two common disguises: GPT-2's byte-to-character table (ByteLevel) and SentencePiece's "▁" with "<0xE2>"
// byte tokens. One token on its own may be half a character; its bytes are then written as \xNN.
// A run of tokens is decoded from the bytes of all of them (Tokenizer.decode). The white space that SentencePiece's and
// WordPiece's own decoders put in or take away at the start of a text or before a comma is left as the tokens have it.

import type { TokenizerJson } from "./tokenizer-file.ts";

const SPACE_MARK = "\u2581";
const BYTE_TOKEN = /^<0x([0-9A-Fa-f]{2})>$/;

/** Inverse of GPT-2's bytes_to_unicode: character → byte. */
function byteLevelTable(): Map<string, number> {
  const table = new Map<string, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte += 1) {
    const isPrintable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    table.set(String.fromCharCode(isPrintable ? byte : next), byte);
    if (!isPrintable) next += 1;
  }
  return table;
}

/** Bytes as UTF-8 text, with every byte that is no part of a whole character written \xNN. */
export function readableBytes(bytes: Uint8Array): string {
  let text = "";
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  for (let at = 0; at < bytes.length; ) {
    const lead = bytes[at];
    const length = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    try {
      text += decoder.decode(bytes.subarray(at, at + length));
      at += length;
    } catch {
      // An incomplete or invalid sequence: show this byte, go on with the next one.
      text += `\\x${lead.toString(16).toUpperCase().padStart(2, "0")}`;
      at += 1;
    }
  }
  return text;
}

function usesByteLevel(json: TokenizerJson): boolean {
  return JSON.stringify([json.pre_tokenizer ?? null, json.decoder ?? null]).includes('"ByteLevel"');
}

/** Function from a vocabulary entry (not an added token) to the bytes of UTF-8 that it stands for. */
export function createTokenBytes(json: TokenizerJson): (token: string) => Uint8Array {
  const encoder = new TextEncoder();
  if (!usesByteLevel(json)) {
    return (token) => {
      const byte = BYTE_TOKEN.exec(token);
      return byte
        ? Uint8Array.of(Number.parseInt(byte[1], 16))
        : encoder.encode(token.replaceAll(SPACE_MARK, " "));
    };
  }
  const table = byteLevelTable();
  return (token) => {
    const bytes = Array.from(token, (character) => table.get(character));
    return bytes.includes(undefined) ? encoder.encode(token) : Uint8Array.from(bytes as number[]);
  };
}
