// Checks of a finished page for tests: a strict reading of its markup, and what must be true of every page of ours.

const VOID = new Set(["area", "br", "col", "hr", "img", "input", "link", "meta", "wbr"]);

export interface Tag {
  name: string;
  attributes: Map<string, string>;
}

/** Every element opened and closed in order; returns the start tags. Throws at the first fault. */
export function parseTags(markup: string): Tag[] {
  const body = markup.replace(/^<!doctype html>/, "").replace(/(<(script|style)>)[\s\S]*?(<\/\2>)/g, "$1$3");
  const open: string[] = [];
  const tags: Tag[] = [];
  const pattern = /<(\/?)([a-zA-Z][a-zA-Z0-9]*)((?:\s+[a-zA-Z][a-zA-Z0-9:-]*(?:="[^"<>]*")?)*)\s*(\/?)>/y;
  for (let at = body.indexOf("<"); at !== -1; at = body.indexOf("<", pattern.lastIndex)) {
    pattern.lastIndex = at;
    const match = pattern.exec(body);
    if (match === null) throw new Error(`not a tag: ${body.slice(at, at + 80)}`);
    const [, closing, name, rest, selfClosing] = match;
    if (closing !== "") {
      const expected = open.pop();
      if (expected !== name)
        throw new Error(`</${name}> where </${expected}> was due, near ${body.slice(at - 60, at + 20)}`);
      continue;
    }
    const attributes = new Map<string, string>();
    for (const [, key, value] of rest.matchAll(/([a-zA-Z][a-zA-Z0-9:-]*)(?:="([^"]*)")?/g)) {
      if (attributes.has(key)) throw new Error(`twice ${key} in <${name}>`);
      attributes.set(key, value ?? "");
    }
    tags.push({ name, attributes });
    if (!VOID.has(name) && selfClosing === "") open.push(name);
  }
  if (open.length > 0) throw new Error(`left open: ${open.join(" ")}`);
  return tags;
}

const FETCHING = new Set(["img", "iframe", "object", "embed", "form", "base", "audio", "video"]);

/** In words: ids twice, anchors to nowhere, elements and attributes that fetch or run, headings that skip a level, headers without scope. */
export function faultsOf(markup: string): string[] {
  const tags = parseTags(markup);
  const faults: string[] = [];
  const ids = tags.flatMap(({ attributes }) => attributes.get("id") ?? []);
  const known = new Set(ids);
  if (known.size < ids.length) faults.push("an id stands twice");
  let level = 0;
  for (const { name, attributes } of tags) {
    if (FETCHING.has(name)) faults.push(`<${name}>`);
    if (name === "th" && !/^(col|row)$/.test(attributes.get("scope") ?? "")) faults.push("th without scope");
    for (const [key, value] of attributes) {
      if (/^on|^style$|^src$|^srcset$|^xlink/.test(key)) faults.push(`${name} ${key}`);
      if (key === "href" && !/^#|^data:,$/.test(value)) faults.push(`href ${value}`);
      const pointed = key === "href" && value.startsWith("#") ? [value.slice(1)] : [];
      if (key === "aria-labelledby") pointed.push(...value.split(" "));
      for (const id of pointed) if (!known.has(id)) faults.push(`${key} to ${id}, which is not there`);
    }
    if (!/^h[1-6]$/.test(name)) continue;
    if (Number(name[1]) > level + 1) faults.push(`h${level} and then ${name}`);
    level = Number(name[1]);
  }
  return faults;
}
