// Control tokens that user content only pretends to write, found and taken back.
//
// Hugging Face matches special tokens anywhere in the rendered text, so a message that quotes "<end_of_turn>" ends its
// own turn. Here a match that touches content is undone: the text is encoded again with only the template's own control
// tokens in force (Tokenizer.encodeGuarded), and the event is counted. Texts without such a match, nearly all, keep the
// ids of the one ordinary pass and with them parity with transformers.
// An unknown-token id that stands for an odd character is no control token and is left alone.

import type { ControlPlace, Encoding, Tokenizer } from "./tokenizer.ts";

export interface ContentRange {
  /** UTF-16 offsets in the text, end exclusive. */
  start: number;
  end: number;
}

export interface NeutralisedEncoding {
  encoding: Encoding;
  nNeutralised: number;
}

/** The literal place of a control token: its span without the white space that lstrip and rstrip swallow. */
function literalPlace(text: string, content: string, span: ControlPlace): ControlPlace | null {
  const at = text.slice(span.start, span.end).indexOf(content);
  return at < 0 ? null : { id: span.id, start: span.start + at, end: span.start + at + content.length };
}

/** encoding: ordinary encoding of text. contents: ascending, disjoint. Returns it, or its guarded replacement. */
export async function neutraliseControls(options: {
  tokenizer: Tokenizer;
  text: string;
  encoding: Encoding;
  contents: ContentRange[];
}): Promise<NeutralisedEncoding> {
  const { tokenizer, text, encoding, contents } = options;
  const contentOfId = new Map(Array.from(tokenizer.specialTokens, ([content, id]) => [id, content]));
  const genuine: ControlPlace[] = [];
  let nNeutralised = 0;
  for (let i = 0; i < encoding.ids.length; i += 1) {
    const literal = contentOfId.get(encoding.ids[i]);
    if (literal === undefined) continue;
    const span = { id: encoding.ids[i], start: encoding.start[i], end: encoding.end[i] };
    const place = literalPlace(text, literal, span);
    if (place === null && span.id === tokenizer.unknownId) continue;
    const { start, end } = place ?? span;
    const touchesContent = contents.some((range) => range.start < end && start < range.end);
    if (touchesContent) nNeutralised += 1;
    else genuine.push(place ?? span);
  }
  if (nNeutralised === 0) return { encoding, nNeutralised };
  return { encoding: await tokenizer.encodeGuarded(text, genuine), nNeutralised };
}
