// Role, turn and slot of every token: who is speaking, or which place of the template it is.
//
// Works on offsets alone; where contents and end marks lie is found in content-spans.ts.

import { ROLES, type Role } from "../store/rows.ts";
import type { LocatedMessage } from "./content-spans.ts";
import type { ChatMessage } from "./document.ts";
import type { Encoding } from "./tokenizer.ts";

/** Slots per role and side that get a number of their own; a store holds at most 256 slot names. */
const MAX_NUMBERED_SLOTS = 40;
const NO_SLOT = "none";

/** Columns of TokenizedDocument, length nTokens. */
export interface TokenMasks {
  role: Uint8Array;
  turn: Int16Array;
  slot: string[];
}

const roleIndex = (role: Role): number => ROLES.indexOf(role);

function slotName(role: string, side: "open" | "close", index: number): string {
  return `${role}-${side}-${index < MAX_NUMBERED_SLOTS ? index : "more"}`;
}

/**
 * Role, turn and slot of each token of a chat.
 *
 * A token that holds any character of a content has that message's role (a merge across the border counts as
 * content). A template token closes message i when it ends within its closing text, else it opens message i + 1.
 */
export function maskChatTokens(options: {
  encoding: Encoding;
  messages: ChatMessage[];
  located: LocatedMessage[];
  bosId: number | undefined;
}): TokenMasks {
  const { encoding, messages, located, bosId } = options;
  const { ids, start, end } = encoding;
  const role = new Uint8Array(ids.length).fill(roleIndex("template"));
  const turn = new Int16Array(ids.length);
  const slot = new Array<string>(ids.length).fill(NO_SLOT);
  let next = 0;
  let run = "";
  let runLength = 0;
  for (let k = 0; k < ids.length; k += 1) {
    if (k === 0 && ids[k] === bosId) {
      role[k] = roleIndex("bos");
      turn[k] = -1;
      continue;
    }
    while (next < located.length && located[next].end <= start[k]) next += 1;
    const content = located[next];
    if (content !== undefined && end[k] > content.start && start[k] < content.end) {
      role[k] = roleIndex(messages[next].role);
      turn[k] = next;
      continue;
    }
    const isClose = next > 0 && (next === located.length || end[k] <= located[next - 1].closeEnd);
    const message = isClose ? next - 1 : next;
    const side = isClose ? "close" : "open";
    const runKey = `${message}-${side}`;
    runLength = runKey === run ? runLength + 1 : 0;
    run = runKey;
    turn[k] = message;
    slot[k] = slotName(messages[message].role, side, runLength);
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
