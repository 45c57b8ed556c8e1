// A byte-level BPE tokenizer small enough to check by hand, and a Gemma-like template for it, written into a folder.
//
// ids 0-4 control tokens, 5-260 the bytes in GPT-2's order, then one id a merge. For tests only.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const TINY_SPECIALS = ["<pad>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"];
export const TINY_MERGES: [string, string][] = [
  ["h", "i"],
  ["Ġ", "hi"],
  ["u", "s"],
  ["e", "r"],
  ["us", "er"],
  ["Ċ", "Ċ"],
];
/** Unlike Gemma's, does not trim. */
export const TINY_TEMPLATE =
  "{{ bos_token }}{% for message in messages %}<start_of_turn>{{ 'model' if message.role == 'assistant' else message.role }}\n" +
  "{{ message.content }}<end_of_turn>{{ '\\n' }}{% endfor %}";

/** GPT-2's bytes_to_unicode: printable bytes as themselves, the others from U+0100 on. */
export function byteAlphabet(): string[] {
  const printable = [...range(33, 126), ...range(161, 172), ...range(174, 255)];
  const others = range(0, 255).filter((byte) => !printable.includes(byte));
  const table = new Array<string>(256);
  for (const byte of printable) table[byte] = String.fromCharCode(byte);
  others.forEach((byte, i) => {
    table[byte] = String.fromCharCode(256 + i);
  });
  return table;
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

export function tinyTokenizerJson(): Record<string, unknown> {
  const tokens = [...TINY_SPECIALS, ...byteAlphabet(), ...TINY_MERGES.map((merge) => merge.join(""))];
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: TINY_SPECIALS.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: TINY_MERGES.map((merge) => [...merge]),
    },
  };
}

export const TINY_VOCAB_SIZE = TINY_SPECIALS.length + 256 + TINY_MERGES.length;

/** Writes tokenizer.json, tokenizer_config.json and chat_template.jinja. change edits the tokenizer before it is written. */
export function writeTinyTokenizer(
  folder: string,
  change: (json: ReturnType<typeof tinyTokenizerJson>) => void = () => {},
): string {
  const json = tinyTokenizerJson();
  change(json);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(json));
  writeFileSync(
    join(folder, "tokenizer_config.json"),
    JSON.stringify({ bos_token: "<bos>", eos_token: "<eos>", pad_token: "<pad>" }),
  );
  writeFileSync(join(folder, "chat_template.jinja"), TINY_TEMPLATE);
  return folder;
}
