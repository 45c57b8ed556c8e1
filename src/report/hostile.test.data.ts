// Strings that would harm a page that trusts them: markup, direction marks, controls, half a surrogate pair.

export const HOSTILE = {
  script: "</script><img src=x onerror=alert(1)>",
  override: "abc\u202edcba\u202c",
  nul: "a\u0000b",
  emoji: " 🦊",
  newline: "\n",
  quote: "\"' onmouseover='alert(2)",
  surrogate: "x\ud800y",
  combining: "\u0301",
} as const;
