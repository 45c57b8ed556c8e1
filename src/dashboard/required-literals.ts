// What every match of a regular expression must contain, so that an index can leave out the texts without it.
//
// After Cox 2012, "Regular Expression Matching with a Trigram Index", cut down: literal runs, groups and alternatives are understood,
// everything else may match anything. Too few requirements cost time, one too many loses matches: when in doubt there is none. Literals are
// as they are written; a text that contains one contains it folded, too (fold). How an index uses them: search-candidates.ts.

/** What must hold of a text: all of these, any of these, or that it contains one literal. An empty `all` always holds. */
export type LiteralQuery =
  | { kind: "literal"; literal: string }
  | { kind: "all"; of: LiteralQuery[] }
  | { kind: "any"; of: LiteralQuery[] };

export const ALWAYS: LiteralQuery = { kind: "all", of: [] };

/** Character by character to lower case where that is one character again, so that offsets stay; NUL, which ends a text in SQLite, becomes U+FFFD. */
export function fold(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: NUL is the border of what needs no care
  if (/^[\x01-\x7f]*$/.test(text)) return text.toLowerCase();
  let folded = "";
  for (const character of text) {
    const lower = character.toLowerCase();
    folded += character === "\0" ? "\ufffd" : lower.length === character.length ? lower : character;
  }
  return folded;
}

export function literalQuery(literal: string): LiteralQuery {
  return literal === "" ? ALWAYS : { kind: "literal", literal };
}

/** Of the source of a RegExp with the flag u and no other. A source that is not understood requires nothing. */
export function requiredLiterals(source: string): LiteralQuery {
  const reader = { source, at: 0 };
  const query = readAlternatives(reader);
  return reader.at === source.length ? query : ALWAYS;
}

/** Whether a text can match, as far as the query says. */
export function holds(query: LiteralQuery, text: string): boolean {
  if (query.kind === "literal") return text.includes(query.literal);
  return query.kind === "all"
    ? query.of.every((part) => holds(part, text))
    : query.of.some((part) => holds(part, text));
}

interface Reader {
  source: string;
  at: number;
}

function readAlternatives(reader: Reader): LiteralQuery {
  const branches = [readSequence(reader)];
  while (reader.source[reader.at] === "|") {
    reader.at += 1;
    branches.push(readSequence(reader));
  }
  if (branches.length === 1) return branches[0];
  return branches.some(isAlways) ? ALWAYS : { kind: "any", of: branches };
}

/** Up to a "|" or ")" of its own level, or the end. */
function readSequence(reader: Reader): LiteralQuery {
  const parts: LiteralQuery[] = [];
  let run = "";
  const endRun = (): void => {
    const query = literalQuery(run);
    if (!isAlways(query)) parts.push(query);
    run = "";
  };
  for (;;) {
    const next = reader.source[reader.at];
    if (next === undefined || next === "|" || next === ")") break;
    const atom = readAtom(reader);
    const { least, most } = readQuantifier(reader);
    if (atom.kind === "literal" && least === 1 && most === 1) {
      run += atom.character;
      continue;
    }
    if (atom.kind === "literal" && least >= 1) run += atom.character; // and then any number of it
    endRun();
    if (atom.kind === "literal" && least >= 1) run = atom.character; // the last of them stands before what follows
    if (atom.kind === "group" && least >= 1 && !isAlways(atom.query)) parts.push(atom.query);
  }
  endRun();
  return parts.length === 1 ? parts[0] : { kind: "all", of: parts };
}

type Atom =
  | { kind: "literal"; character: string }
  | { kind: "group"; query: LiteralQuery }
  | { kind: "anything" };

function readAtom(reader: Reader): Atom {
  const character = String.fromCodePoint(reader.source.codePointAt(reader.at) ?? 0);
  reader.at += character.length;
  if (character === "(") return readGroup(reader);
  if (character === "[") return skipClass(reader);
  if (character === "\\") return readEscape(reader);
  if (character === "." || character === "^" || character === "$") return { kind: "anything" };
  return { kind: "literal", character };
}

function readGroup(reader: Reader): Atom {
  const [opening] = /^\?(?:<?[=!]|:|<[^>]*>|[a-z-]*:)?/.exec(reader.source.slice(reader.at)) ?? [""];
  reader.at += opening.length;
  const query = readAlternatives(reader);
  reader.at += 1; // ")"
  // Looking ahead or behind says nothing of the text that is matched itself; modifiers change what a literal means.
  const isPlain = opening === "" || opening === "?:" || /^\?<[^=!]/.test(opening);
  return isPlain ? { kind: "group", query } : { kind: "anything" };
}

function skipClass(reader: Reader): Atom {
  while (reader.at < reader.source.length && reader.source[reader.at] !== "]")
    reader.at += reader.source[reader.at] === "\\" ? 2 : 1;
  reader.at += 1;
  return { kind: "anything" };
}

function readEscape(reader: Reader): Atom {
  const rest = reader.source.slice(reader.at);
  // With the flag u only these may be escaped as themselves; the others name classes, characters by number, or groups.
  const [long] =
    /^(?:u\{[0-9a-fA-F]+\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[pP]\{[^}]*\}|k<[^>]*>|c[A-Za-z]|\d+)/.exec(
      rest,
    ) ?? [""];
  if (long !== "") {
    reader.at += long.length;
    return { kind: "anything" };
  }
  reader.at += 1;
  return /^[\^$\\.*+?()[\]{}|/]/.test(rest) ? { kind: "literal", character: rest[0] } : { kind: "anything" };
}

function readQuantifier(reader: Reader): { least: number; most: number } {
  const found = /^(?:([*+?])|\{(\d+)(,?)(\d*)\})\??/.exec(reader.source.slice(reader.at));
  if (found === null) return { least: 1, most: 1 };
  reader.at += found[0].length;
  const [, sign, low, comma, high] = found;
  if (sign !== undefined)
    return { least: sign === "+" ? 1 : 0, most: sign === "?" ? 1 : Number.POSITIVE_INFINITY };
  const least = Number(low);
  if (comma === "") return { least, most: least };
  return { least, most: high === "" ? Number.POSITIVE_INFINITY : Number(high) };
}

function isAlways(query: LiteralQuery): boolean {
  return query.kind === "all" && query.of.length === 0;
}
