// What makes two documents the same: their content, not their name.
//
// The hash decides split and group (store/split-of.ts) and lets equal documents be kept once, so that nothing in
// heldout or test was also trained on. Near-duplicates are not looked for.

import { createHash } from "node:crypto";
import type { InputDocument } from "./document.ts";

/** SHA-256 hex of the text, or of roles and contents in order. */
export function contentHash({ text, messages }: Pick<InputDocument, "text" | "messages">): string {
  const content =
    text === undefined
      ? ["messages", ...(messages ?? []).flatMap(({ role, content }) => [role, content])]
      : ["text", text];
  return createHash("sha256").update(JSON.stringify(content)).digest("hex");
}
