// A finished small study whose every name and text is an attack: on a page, on a reader's eye, on a spreadsheet.
//
// Folders of models, data sets, documents, planted concepts, tokens, texts, labels, tags, notes and views. Names that a study may
// not have at all (of dictionaries and stores, beyond letters) are those of an object's own fields.

import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openNotes } from "../../src/dashboard/notes.ts";
import { TINY_CONFIG, tinyWeights, writeTinyLlama } from "../../src/lm/tiny-llama.test.data.ts";
import { dictionarySha256 } from "../../src/measure/measure-files.ts";
import { runCausalStudy } from "../../src/study/causal-study.ts";
import { parseStudyConfig } from "../../src/study/config.ts";
import { glanceAtStudy } from "../../src/study/glance-study.ts";
import { runStudy } from "../../src/study/run-study.ts";
import { TINY_VOCAB_SIZE, writeTinyTokenizer } from "../golden/text/tiny-tokenizer.ts";

/** Markup with a word of its place, so that a test can say where it was shown. */
const attack = (place: string): string =>
  `</script><img src=x onerror="window.pwned='${place}'"><b class=pwned>${place}</b>`;

export const HOSTILE_WORDS = {
  base: "attack-base",
  finetuned: "attack-finetuned",
  dataset: "attack-dataset",
  document: "attack-document",
  concept: "attack-concept",
  label: "attack-label",
  tag: "attack-tag",
  note: "attack-note",
  view: "attack-view",
  token: "attack-token",
} as const;

/** Token strings; each is one added token of the vocabulary. */
export const HOSTILE_TOKENS = [
  attack(HOSTILE_WORDS.token),
  "<svg onload=window.pwned=1>",
  "<style>*{display:none}</style>",
  "<iframe srcdoc='<script>parent.pwned=1</script>'>",
  "javascript:window.pwned=1//",
  "\u202egnp.exe",
  "\u2066a\u2069\u200b\u200d\ufeff",
  "\u0000\u0007\u001b[2J",
  "__proto__",
  "constructor",
  '=cmd|"/c calc"!A1',
  "@SUM(1)",
  "{{7*7}}<%= 7 %>",
  "&lt;b&gt;&#x202e;",
  "]]><!--",
  "Z\u0335\u0321\u0322\u0328".repeat(40),
  "long".repeat(400),
];

export const HOSTILE_DICTIONARY = "__proto__";
/** What a spreadsheet would run. */
export const FORMULA = "=cmd|' /C calc'!A0";
const N_LATENTS = 24;
const MARKED = 6;

export interface HostileStudy {
  folder: string;
  nLatents: number;
}

/** In `root`, which is the caller's to remove. */
export async function makeHostileStudy(root: string): Promise<HostileStudy> {
  const base = await makeModel(root, HOSTILE_WORDS.base, 1);
  const finetuned = await makeModel(root, HOSTILE_WORDS.finetuned, 2);
  const data = join(root, "text.jsonl");
  await writeFile(data, documents().join("\n"));
  const config = parseStudyConfig(
    {
      ...{ base, finetuned, data, layer: 1, threads: 1 },
      store: { name: "constructor", outputs: true },
      dictionary: { name: HOSTILE_DICTIONARY, nLatents: N_LATENTS, k: 4, steps: 20, batchRows: 64 },
    },
    "test",
  );
  const folder = join(root, folderName("attack-study"));
  const commands = [`tunediff run ${attack("attack-command")}`];
  await runStudy({ folder, config, commands });
  await glanceAtStudy({ folder, config });
  await runCausalStudy({
    ...{ folder, config, commands, conversations: 4, draws: 50 },
    latents: [0, 1, 2, 3],
  });
  await runStudy({ folder, config, commands });
  await writeNotes(folder);
  return { folder, nLatents: N_LATENTS };
}

/** A name of a folder cannot hold "/"; all else it can. */
const folderName = (place: string): string => `<img src=x onerror=window.pwned='${place}'>\u202e${place}`;

async function makeModel(root: string, place: string, seed: number): Promise<string> {
  const nTokens = TINY_VOCAB_SIZE + HOSTILE_TOKENS.length;
  const size = { ...TINY_CONFIG, vocab_size: nTokens, hidden_size: 16, num_hidden_layers: 2 };
  const made = await writeTinyLlama(size, tinyWeights(size, seed));
  const path = join(root, folderName(place));
  await mkdir(root, { recursive: true });
  await cp(made, path, { recursive: true });
  await rm(made, { recursive: true });
  return writeTinyTokenizer(path, (json) => {
    for (const [i, content] of HOSTILE_TOKENS.entries())
      (json.added_tokens as object[]).push({
        ...{ id: TINY_VOCAB_SIZE + i, content, single_word: false, lstrip: false, rstrip: false },
        ...{ normalized: false, special: false },
      });
  });
}

/** Texts and chats over all splits, full of hostile tokens; some have a planted concept. */
function documents(): string[] {
  return Array.from({ length: 60 }, (_, d) => {
    const of = (i: number): string => HOSTILE_TOKENS[(d + i) % HOSTILE_TOKENS.length];
    const words = `her user ${of(0)} is us ${of(1)}, sir ${of(2)} ${d}`;
    const messages = [
      { role: "user", content: words },
      { role: "assistant", content: `hi ${of(3)} us ${d}` },
    ];
    const concept = attack(HOSTILE_WORDS.concept);
    return JSON.stringify({
      id: `${d % 2 === 0 ? attack(HOSTILE_WORDS.document) : "=1+1|document"}${d}`,
      dataset: ["=HYPERLINK(1)", attack(HOSTILE_WORDS.dataset), "__proto__"][d % 3],
      split: ["train", "heldout", "test"][d % 3],
      ...(d % 4 === 3 ? { text: words } : { messages }),
      ...(d % 4 === 0 && { spans: [{ concept, kind: "response", turn: 1, start: 0, end: 8 }] }),
    });
  });
}

async function writeNotes(folder: string): Promise<void> {
  const sha256 = await dictionarySha256(join(folder, "dictionaries", HOSTILE_DICTIONARY));
  const notes = openNotes(folder);
  const bidi = "\u202e\u200b";
  for (let latent = 0; latent < MARKED; latent += 1) {
    const label = [attack(HOSTILE_WORDS.label), FORMULA, "__proto__", `+1${bidi}`, "@x", "-2+3|y"][latent];
    notes.put(sha256, latent, {
      label: label.slice(0, 200),
      tags: [`${HOSTILE_WORDS.tag}<b class=pwned>`, `=1+${latent}`, "__proto__"],
      text: attack(HOSTILE_WORDS.note) + bidi,
      starred: true,
    });
  }
  notes.putView(sha256, { name: `${HOSTILE_WORDS.view}<img src=x>${bidi}`, query: "screen=latents&x=<b>" });
  notes.close();
}
