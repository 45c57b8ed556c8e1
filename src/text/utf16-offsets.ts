// Code point positions to UTF-16 positions.
//
// The Rust tokenizer counts code points (checked: "😀" advances its offsets by one); JavaScript strings, and every
// offset of this project, count UTF-16 units. Texts without surrogates, nearly all, need no table.

const SURROGATE = /[\uD800-\uDFFF]/;

/**
 * Table from code point index to UTF-16 index, length nCodePoints + 1 (the last entry is text.length), or null when the
 * two agree everywhere. A lone surrogate counts as one code point, as it does once Rust has replaced it by U+FFFD.
 */
export function codePointTable(text: string): Uint32Array | null {
  if (!SURROGATE.test(text)) return null;
  const table = new Uint32Array(text.length + 1);
  let nCodePoints = 0;
  for (let at = 0; at < text.length; at += text.codePointAt(at)! > 0xffff ? 2 : 1) {
    table[nCodePoints] = at;
    nCodePoints += 1;
  }
  table[nCodePoints] = text.length;
  return table.subarray(0, nCodePoints + 1);
}
