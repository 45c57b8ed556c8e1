// The page and the report write unseen characters in one way.

import { expect, test } from "vitest";
import { showInvisible as reportInvisible, showToken as reportToken } from "../../src/report/html.ts";
import { showInvisible, showToken } from "./visible-text.ts";

const TEXTS = [
  "",
  " a ",
  "line\nbreak\ttab\r\u0000\u001b[31m\u007f\u0085",
  "\u202egnp.exe\u202c \u2066x\u2069 \u200f\u200e\u061c",
  "zero\u200bwidth\u200d\ufeff\u2060soft\u00adhyphen",
  "\u2028\u2029\u00a0\u3000\u2009",
  "\u0301combining first",
  "lone \ud800 surrogate, \u{1f600} whole, tag \u{e0041}",
  "<img src=x onerror=alert(1)>",
];

test("every text is shown as the report shows it", () => {
  for (const text of TEXTS) {
    expect(showInvisible(text)).toBe(reportInvisible(text));
    expect(showToken(text)).toBe(reportToken(text));
  }
});

test("no character that is shown reorders or hides its neighbours", () => {
  for (const text of TEXTS)
    expect(showInvisible(text)).not.toMatch(/[\p{Bidi_Control}\p{Cc}\p{Surrogate}\u200b\u2060\ufeff\u00ad]/u);
});
