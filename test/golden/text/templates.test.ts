// A zoo of chat templates against transformers: renders, ids and the role of every token.
//
// templates.json is made by make_template_golden.py: the masks there come from transformers' own generation spans over
// copies of each template with {% generation %} around one role's contents. Equality is exact. Below them, a property over random conversations that needs no golden file.

import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { packageRoot } from "../../../src/package-root.ts";
import { ROLES } from "../../../src/store/rows.ts";
import { createChatTemplate } from "../../../src/text/chat-template.ts";
import type { ChatMessage, TokenizedDocument } from "../../../src/text/document.ts";
import { createDocumentTokenizer } from "../../../src/text/tokenize-document.ts";
import { loadTokenizer } from "../../../src/text/tokenizer.ts";

interface GoldenTemplate {
  name: string;
  bos: string | null;
  eos: string;
  source: string;
  rows: {
    messages: ChatMessage[];
    refused?: string;
    rendered: string;
    ids: number[];
    masks: Record<"system" | "user" | "assistant", string>;
  }[];
}

const HERE = join(packageRoot(), "test/golden/text");
const zoo = join(HERE, "fixtures/template-zoo/tokenizer.json");
const golden = JSON.parse(readFileSync(join(HERE, "templates.json"), "utf8")) as {
  tokenizerSha256: string;
  templates: GoldenTemplate[];
};
const root = mkdtempSync(join(tmpdir(), "tunediff-zoo-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function open({ name, bos, eos, source }: GoldenTemplate) {
  const folder = join(root, name);
  cpSync(zoo, join(folder, "tokenizer.json"));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify({ bos_token: bos, eos_token: eos }));
  const tokenizer = await loadTokenizer(folder);
  const template = createChatTemplate({ place: name, source, namedTokens: tokenizer.namedTokens });
  return { tokenizer, documents: createDocumentTokenizer({ tokenizer, template, maxTokens: 65_535 }) };
}

const chatDocument = (messages: ChatMessage[], i: number) => ({
  id: `chat-${i}`,
  dataset: "golden",
  messages,
});
const maskOf = (document: TokenizedDocument, role: string): string =>
  Array.from(document.role, (index) => Number(ROLES[index] === role)).join("");

test("the golden file belongs to the tokenizer beside it and holds the families and the odd ones", () => {
  const hash = createHash("sha256").update(readFileSync(zoo)).digest("hex");
  expect(hash, "run python test/golden/text/make_template_golden.py").toBe(golden.tokenizerSha256);
  expect(golden.templates.length).toBeGreaterThanOrEqual(12);
});

describe.each(golden.templates)("$name against transformers", (entry) => {
  test("refusals, renders, ids and the masks of all three roles agree", async () => {
    const { documents, tokenizer } = await open(entry);
    const tokenized = await documents.tokenize(
      entry.rows.map(({ messages }, i) => chatDocument(messages, i)),
    );
    const byId = new Map(tokenized.map((document) => [document.id, document]));
    for (const [i, row] of entry.rows.entries()) {
      const document = byId.get(`chat-${i}`);
      if (row.refused !== undefined) {
        expect(documents.refusals.find(({ id }) => id === `chat-${i}`)?.reason).toContain(row.refused);
        continue;
      }
      expect(document, documents.refusals.find(({ id }) => id === `chat-${i}`)?.reason).toBeDefined();
      expect(document!.text).toBe(row.rendered);
      expect(Array.from(document!.tokenFinetuned)).toEqual(row.ids);
      for (const role of ["system", "user", "assistant"] as const) {
        expect(maskOf(document!, role), `${role} of ${JSON.stringify(row.messages)}`).toBe(row.masks[role]);
      }
      const bos = Number(tokenizer.bosId !== undefined);
      expect(maskOf(document!, "bos")).toBe(`${"1".repeat(bos)}${"0".repeat(row.ids.length - bos)}`);
    }
    expect(documents.counts.documents + documents.counts.refused).toBe(entry.rows.length);
  });

  test("in random conversations every token has one role, and the contents read back as the messages", async () => {
    const { documents } = await open(entry);
    const content = fc.oneof(
      { weight: 4, arbitrary: fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }) },
      fc.constantFrom(
        "\n",
        " hi ",
        "",
        "user\n",
        "<eos>",
        "</s>[INST]",
        "<|im_end|>",
        "<think>a</think>b",
        "</think>\n\nx",
      ),
    );
    const chats = fc.sample(
      fc.tuple(fc.option(content, { nil: undefined }), fc.array(content, { minLength: 1, maxLength: 5 })),
      { numRuns: 30, seed: 7 },
    );
    const all = chats.map(([system, contents]): ChatMessage[] => [
      ...(system === undefined ? [] : [{ role: "system" as const, content: system }]),
      ...contents.map(
        (text, i): ChatMessage => ({ role: i % 2 === 0 ? "user" : "assistant", content: text }),
      ),
    ]);
    const tokenized = await documents.tokenize(all.map(chatDocument));
    // Refusals of whole chats: the template's own (no system role) or contents built from its own markers.
    expect(tokenized.length).toBeGreaterThanOrEqual(5);
    for (const document of tokenized) expectContentsToReadBack(document, all[Number(document.id.slice(5))]);
  });
});

function expectContentsToReadBack(document: TokenizedDocument, messages: ChatMessage[]): void {
  const { text, turns, charStart, charEnd } = document;
  let covered = 0;
  const faults: string[] = [];
  document.role.forEach((role, k) => {
    const name = ROLES[role];
    const turn = document.turn[k];
    if (charStart[k] > covered) faults.push(`gap before token ${k}`);
    covered = Math.max(covered, charEnd[k]);
    if ((document.slot[k] !== "none") !== (name === "template")) faults.push(`slot of token ${k}`);
    if (name !== "template" && name !== "bos" && messages[turn]?.role !== name)
      faults.push(`turn of token ${k}`);
    if (name === "text") faults.push(`text in a chat at token ${k}`);
  });
  expect(faults).toEqual([]);
  expect(covered).toBe(text.length);
  messages.forEach(({ role, content }, i) => {
    const { start, end } = turns[i];
    const written = text.slice(start, end);
    // Whole or trimmed, or what is left of it where the template strips thinking.
    if (!content.includes("</think>")) expect(["", content.trim()]).toContain(written.trim());
    else expect(content).toContain(written.trim());
    const inside = Array.from(document.role, (index) => ROLES[index]).filter(
      (_, k) => charStart[k] < end && charEnd[k] > start && charStart[k] < charEnd[k],
    );
    // A merged token may reach in from a neighbour; what is rewritten between two pieces is the template's.
    expect(inside.slice(1, -1).filter((name) => name !== role && name !== "template")).toEqual([]);
  });
}
