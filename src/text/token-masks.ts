// Role, turn and slot of every token: who is speaking, or which place of the template it is.
//
// Works on offsets alone; where contents and end marks lie is found in content-spans.ts.

import { ROLES, type Role } from "../store/rows.ts";
import type { LocatedChat } from "./content-spans.ts";
import type { ChatMessage } from "./document.ts";
import type { Encoding } from "./tokenizer.ts";

/** Slots per role and side that get a number of their own; a store holds at most 256 slot names (3 × 2 × 41 + 9 + 1). */
const MAX_NUMBERED_SLOTS = 40;
const MAX_NUMBERED_PREAMBLE = 8;
const NO_SLOT = "none";

/** Columns of TokenizedDocument, length nTokens. */
export interface TokenMasks {
  role: Uint8Array;
  turn: Int16Array;
  slot: string[];
}

const roleIndex = (role: Role): number => ROLES.indexOf(role);

function slotName(place: string, index: number): string {
  const nNumbered = place === "preamble" ? MAX_NUMBERED_PREAMBLE : MAX_NUMBERED_SLOTS;
  return `${place}-${index < nNumbered ? index : "more"}`;
}

/**
 * Role, turn and slot of each token of a chat.
 *
 * A token that holds any character of a content has that message's role (a merge across the border counts as
 * content). A template token before preambleEnd belongs to no message (turn −1, slot preamble-N); another one closes
 * the message before it when it ends within that one's closing text, else it opens the message behind it.
 */
export function maskChatTokens(options: {
  encoding: Encoding;
  messages: ChatMessage[];
  located: LocatedChat;
  bosId: number | undefined;
}): TokenMasks {
  const { encoding, messages, located, bosId } = options;
  const { segments, preambleEnd } = located;
  const { ids, start, end } = encoding;
  const role = new Uint8Array(ids.length).fill(roleIndex("template"));
  const turn = new Int16Array(ids.length).fill(-1);
  const slot = new Array<string>(ids.length).fill(NO_SLOT);
  let next = 0;
  let run = "";
  let runLength = 0;
  for (let k = 0; k < ids.length; k += 1) {
    if (k === 0 && ids[k] === bosId) {
      role[k] = roleIndex("bos");
      continue;
    }
    while (next < segments.length && segments[next].end <= start[k]) next += 1;
    const content = segments[next];
    if (content !== undefined && end[k] > content.start && start[k] < content.end) {
      role[k] = roleIndex(messages[content.message].role);
      turn[k] = content.message;
      continue;
    }
    const before = segments[next - 1];
    const isPreamble = before === undefined && (content === undefined || end[k] <= preambleEnd);
    const isClose = before !== undefined && (content === undefined || end[k] <= before.closeEnd);
    const message = isPreamble ? -1 : (isClose ? before : content).message;
    const place = isPreamble ? "preamble" : `${messages[message].role}-${isClose ? "close" : "open"}`;
    const runKey = `${next} ${place}`;
    runLength = runKey === run ? runLength + 1 : 0;
    run = runKey;
    turn[k] = message;
    slot[k] = slotName(place, runLength);
  }
  return { role, turn, slot };
}

/** Plain text: role "text" throughout, but for a BOS in front. */
export function maskTextTokens(ids: Uint32Array, bosId: number | undefined): TokenMasks {
  const role = new Uint8Array(ids.length).fill(roleIndex("text"));
  if (ids.length > 0 && ids[0] === bosId) role[0] = roleIndex("bos");
  return {
    role,
    turn: new Int16Array(ids.length).fill(-1),
    slot: new Array<string>(ids.length).fill(NO_SLOT),
  };
}
