// The connections of one server: how many there may be, and which one goes when there are too many.
//
// A connection that waits (nothing asked yet, or everything answered) costs its owner nothing to open again, so the one that has
// waited longest makes room: a person's page is answered while something else opens sockets by the thousand. When none
// waits, the new one is turned away.

import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

export interface Connections {
  /** A new connection: makes room for it, or destroys it. */
  open(socket: Socket): void;
  /** A request has come on it and is in work until the answer closes. */
  busy(socket: Socket, answer: ServerResponse): void;
  /** Whether part of an answer has been written to it and more may follow. */
  isAnswering(socket: Socket): boolean;
  /** Destroys those on which nothing is in work, also one that has never said anything, as browsers open them in advance. */
  closeWaiting(): void;
  readonly count: number;
}

export function createConnections(limit: number): Connections {
  /** Waiting longest first: re-inserted when it begins to wait again. */
  const waiting = new Set<Socket>();
  /** More than one answer when requests came in one go. */
  const working = new Map<Socket, Set<ServerResponse>>();
  const count = (): number => waiting.size + working.size;
  return {
    open(socket) {
      if (count() >= limit) {
        const [longest] = waiting;
        if (longest === undefined) {
          socket.destroy();
          return;
        }
        waiting.delete(longest);
        longest.destroy();
      }
      waiting.add(socket);
      socket.once("close", () => {
        waiting.delete(socket);
        working.delete(socket);
      });
    },
    busy(socket, answer) {
      waiting.delete(socket);
      const answers = working.get(socket) ?? new Set();
      working.set(socket, answers.add(answer));
      answer.once("close", () => {
        answers.delete(answer);
        if (answers.size > 0 || !working.delete(socket) || socket.destroyed) return;
        waiting.add(socket);
      });
    },
    isAnswering: (socket) => [...(working.get(socket) ?? [])].some(({ headersSent }) => headersSent),
    closeWaiting() {
      for (const socket of waiting) socket.destroy();
    },
    get count() {
      return count();
    },
  };
}
