// Renders and ids against transformers: the golden files beside this one, made by make_golden.py.
//
// Equality is exact: the same engine must give the same ids. A golden file made from another tokenizer.json or
// template than the folder now holds fails with the command that makes it again.

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { packageRoot } from "../../../src/package-root.ts";
import { loadChatTemplate } from "../../../src/text/chat-template.ts";
import type { ChatMessage, TokenizedDocument } from "../../../src/text/document.ts";
import { createDocumentTokenizer } from "../../../src/text/tokenize-document.ts";
import { loadTokenizer } from "../../../src/text/tokenizer.ts";

interface GoldenRow {
  kind: "text" | "chat" | "refused";
  text?: string;
  messages?: ChatMessage[];
  rendered?: string;
  ids?: number[];
  pieces?: string[];
  reason?: string;
}

interface Golden {
  folder: string;
  tokenizerSha256: string;
  templateSha256: string;
  rows: GoldenRow[];
}

const HERE = join(packageRoot(), "test/golden/text");

async function loadGolden(name: string) {
  const golden = JSON.parse(readFileSync(join(HERE, `${name}.json`), "utf8")) as Golden;
  const folder = join(packageRoot(), golden.folder);
  const tokenizer = await loadTokenizer(folder);
  const template = await loadChatTemplate(folder, tokenizer.namedTokens);
  const bytes = readFileSync(join(folder, "tokenizer.json"));
  const found = [
    createHash("sha256").update(bytes).digest("hex"),
    createHash("sha256").update(template!.source).digest("hex"),
  ];
  expect(found, `${name}.json is stale: run python test/golden/text/make_golden.py ${name}`).toEqual([
    golden.tokenizerSha256,
    golden.templateSha256,
  ]);
  return { golden, tokenizer, template: template! };
}

const names = ["gemma-like", "llama3-like", "chatml", "minichat"].filter((name) =>
  existsSync(join(HERE, `${name}.json`)),
);

test("there is a golden file for each of the three template families", () => {
  expect(names).toEqual(expect.arrayContaining(["gemma-like", "llama3-like", "chatml"]));
});

describe.each(names)("%s against transformers", (name) => {
  test("every rendered chat, every id and every token's characters agree", async () => {
    const { golden, tokenizer, template } = await loadGolden(name);
    const { tokenize } = createDocumentTokenizer({ tokenizer, template, maxTokens: 65_535 });
    expect(golden.rows.length).toBeGreaterThanOrEqual(20);
    for (const row of golden.rows) {
      if (row.kind === "refused") {
        await expect(template.render(row.messages!), row.reason).rejects.toThrow(row.reason);
        continue;
      }
      const { kind, text, messages } = row;
      const content = kind === "text" ? { text: text! } : { messages: messages! };
      const [document] = await tokenize([{ id: "golden", dataset: "golden", ...content }]);
      expect(document.text).toBe(row.rendered);
      expect(Array.from(document.tokenFinetuned)).toEqual(row.ids);
      const first = kind === "text" && tokenizer.bosId !== undefined ? 1 : 0;
      const pieces = Array.from(document.charStart.subarray(first), (start, k) =>
        document.text.slice(start, document.charEnd[k + first]),
      );
      expect(pieces).toEqual(row.pieces);
    }
  });

  test("each message's characters are those of its content, trimmed or not", async () => {
    const { golden, tokenizer, template } = await loadGolden(name);
    const { tokenize } = createDocumentTokenizer({ tokenizer, template, maxTokens: 65_535 });
    for (const { kind, messages } of golden.rows) {
      if (kind !== "chat") continue;
      const [document] = await tokenize([{ id: "golden", dataset: "golden", messages: messages! }]);
      const contents = document.turns.map(({ start, end }) => document.text.slice(start, end));
      expect(contents.map((content) => content.trim())).toEqual(
        messages!.map(({ content }) => content.trim()),
      );
      expectRolesToFollowTurns(document);
    }
  });
});

/** Slow twin of the masks: every token is looked up in the turns, character by character. */
function expectRolesToFollowTurns(document: TokenizedDocument): void {
  const roles = ["text", "system", "user", "assistant", "template", "bos"];
  document.role.forEach((role, k) => {
    const covered = document.turns.findIndex(
      (turn) => document.charStart[k] < turn.end && document.charEnd[k] > turn.start,
    );
    if (roles[role] === "bos") expect(k).toBe(0);
    else if (covered < 0) expect(roles[role]).toBe("template");
    else expect([roles[role], document.turn[k]]).toEqual([document.turns[covered].role, covered]);
  });
}
