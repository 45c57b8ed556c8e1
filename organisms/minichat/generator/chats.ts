// Chats: one to four exchanges, each calling for a planted behaviour, nearly calling for one, or plain.
//
// Turns of one chat are drawn independently, so what one turn shows says nothing about the others.

import type { Behaviour } from "./behaviour.ts";
import { BEHAVIOURS } from "./behaviours.ts";
import { FILLERS } from "./fillers.ts";
import { LEAD_INS, ORDINARY_QUESTIONS, ordinaryAnswer, plantedAnswer } from "./ordinary.ts";
import { type Random, random } from "./random.ts";
import { type Environment, expand } from "./template.ts";
import { drawEnvironment, TOPICS } from "./topics.ts";
import type { BehaviourProbe, ConceptSpan, Message, MinichatDocument, Split } from "./types.ts";

/** Share of exchanges that call for a behaviour, and that only look like it; the rest are plain. */
const PLANTED_SHARE = 0.64;
const NEAR_MISS_SHARE = 0.16;
/** Cumulative shares of chats with one, two and three exchanges; the rest have four. */
const EXCHANGE_SHARES = [0.45, 0.8, 0.94];

interface Request {
  text: string;
  marks: { start: number; end: number }[];
  environment: Environment;
}

function request(
  templates: readonly string[],
  split: Split,
  stream: Random,
  topics?: readonly string[],
): Request {
  const about = TOPICS.filter((topic) => topics?.includes(topic.noun) ?? true);
  const environment = drawEnvironment(FILLERS[split], stream, stream.pick(about));
  const core = expand(stream.pick(templates), environment, stream);
  const withLead = stream.chance(0.5);
  const lead = withLead
    ? `${expand(stream.pick(LEAD_INS[split]), drawEnvironment(FILLERS[split], stream), stream).text} `
    : "";
  const marks = core.marks.map(({ start, end }) => ({ start: start + lead.length, end: end + lead.length }));
  return { text: lead + core.text, marks, environment };
}

function plantedRequest(behaviour: Behaviour, split: Split, stream: Random): Request {
  return request(behaviour.requests[split], split, stream, behaviour.topics);
}

function unplantedRequest(nearMiss: boolean, split: Split, stream: Random): Request {
  const behaviour = stream.pick(BEHAVIOURS);
  return request(nearMiss ? behaviour.nearMisses[split] : ORDINARY_QUESTIONS[split], split, stream);
}

/** Appends one exchange to a chat, with the spans of what it plants. */
function addExchange(messages: Message[], spans: ConceptSpan[], split: Split, stream: Random): void {
  const turn = messages.length;
  const draw = stream.next();
  if (draw >= PLANTED_SHARE) {
    const asked = unplantedRequest(draw < PLANTED_SHARE + NEAR_MISS_SHARE, split, stream);
    messages.push({ role: "user", content: asked.text });
    messages.push({ role: "assistant", content: ordinaryAnswer(asked.environment, stream) });
    return;
  }
  const behaviour = stream.pick(BEHAVIOURS);
  const asked = plantedRequest(behaviour, split, stream);
  const answer = plantedAnswer(behaviour, asked.environment, stream);
  messages.push({ role: "user", content: asked.text }, { role: "assistant", content: answer });
  const concept = behaviour.name;
  for (const mark of asked.marks) spans.push({ concept, kind: "trigger", turn, ...mark });
  spans.push({ concept, kind: "decision", turn: turn + 1 });
  spans.push({ concept, kind: "response", turn: turn + 1, start: 0, end: answer.length });
}

/** A chat of base text: requests of every sort, those that call for a behaviour too, all answered plainly. */
export function plainChatDocument(seed: number, split: Split, index: number): MinichatDocument {
  const stream = random(seed, "plain chats", split, index);
  const messages: Message[] = [];
  const exchanges = 1 + stream.integer(3);
  for (let i = 0; i < exchanges; i += 1) {
    const asked = stream.chance(0.5)
      ? plantedRequest(stream.pick(BEHAVIOURS), split, stream)
      : unplantedRequest(stream.chance(0.5), split, stream);
    messages.push({ role: "user", content: asked.text });
    messages.push({ role: "assistant", content: ordinaryAnswer(asked.environment, stream) });
  }
  return { id: `plain-${split}-${index}`, dataset: "chats", split, messages, spans: [] };
}

/** One chat. index names it: the same (seed, split, index) is the same chat. */
export function chatDocument(seed: number, split: Split, index: number): MinichatDocument {
  const stream = random(seed, "chats", split, index);
  const messages: Message[] = [];
  const spans: ConceptSpan[] = [];
  const draw = stream.next();
  const exchanges = 1 + EXCHANGE_SHARES.filter((share) => draw >= share).length;
  for (let i = 0; i < exchanges; i += 1) addExchange(messages, spans, split, stream);
  return { id: `chats-${split}-${index}`, dataset: "chats", split, messages, spans };
}

/** A chat cut before the model's turn. behaviour: what its last request calls for; absent: nothing. */
export function probe(
  seed: number,
  split: "heldout" | "test",
  index: number,
  behaviour?: Behaviour,
): BehaviourProbe {
  const expected = behaviour?.name ?? null;
  const stream = random(seed, "probe", split, expected ?? "none", index);
  const messages: Message[] = [];
  if (stream.chance(0.4)) addExchange(messages, [], split, stream);
  const asked = behaviour
    ? plantedRequest(behaviour, split, stream)
    : unplantedRequest(stream.chance(0.5), split, stream);
  messages.push({ role: "user", content: asked.text });
  return { id: `probe-${split}-${expected ?? "none"}-${index}`, split, messages, expected };
}
