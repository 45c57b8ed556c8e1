// Which connection goes when there are too many.

import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { expect, test } from "vitest";
import { createConnections } from "./connections.ts";

function fakeSocket(): Socket {
  const socket = Object.assign(new EventEmitter(), {
    destroyed: false,
    destroy() {
      socket.destroyed = true;
      socket.emit("close");
    },
  });
  return socket as unknown as Socket;
}
const fakeAnswer = (headersSent = false): ServerResponse =>
  Object.assign(new EventEmitter(), { headersSent }) as unknown as ServerResponse;

test("above the bound the one that has waited longest goes, one in work stays", () => {
  const connections = createConnections(3);
  const [a, b, c, d, e, f] = Array.from({ length: 6 }, fakeSocket);
  for (const socket of [a, b, c]) connections.open(socket);
  const answer = fakeAnswer();
  connections.busy(a, answer);
  connections.open(d);
  expect([a, b, c, d].map(({ destroyed }) => destroyed)).toEqual([false, true, false, false]);
  // Answered: a waits again, and has waited for less long than c and d.
  answer.emit("close");
  connections.open(e);
  connections.open(f);
  expect([a, c, d, e, f].map(({ destroyed }) => destroyed)).toEqual([false, true, true, false, false]);
  expect(connections.count).toBe(3);
});

test("when all are in work a new one is turned away, and closed ones are forgotten", () => {
  const connections = createConnections(2);
  const [a, b, c, d] = Array.from({ length: 4 }, fakeSocket);
  for (const socket of [a, b]) {
    connections.open(socket);
    connections.busy(socket, fakeAnswer());
  }
  connections.open(c);
  expect([a, b, c].map(({ destroyed }) => destroyed)).toEqual([false, false, true]);
  a.destroy();
  connections.open(d);
  expect([d.destroyed, connections.count]).toEqual([false, 2]);
});

test("a connection with several answers in work waits when the last has closed", () => {
  const connections = createConnections(1);
  const [a, b, c] = Array.from({ length: 3 }, fakeSocket);
  connections.open(a);
  const answers = [fakeAnswer(true), fakeAnswer()];
  for (const answer of answers) connections.busy(a, answer);
  expect(connections.isAnswering(a)).toBe(true);
  answers[0].emit("close");
  connections.open(b);
  expect([connections.isAnswering(a), a.destroyed, b.destroyed]).toEqual([false, false, true]);
  answers[1].emit("close");
  connections.open(c);
  expect([a.destroyed, c.destroyed]).toEqual([true, false]);
});

test("closing leaves what is in work, and takes it when it has been answered", () => {
  const connections = createConnections(3);
  const [silent, working] = Array.from({ length: 2 }, fakeSocket);
  for (const socket of [silent, working]) connections.open(socket);
  const answer = fakeAnswer();
  connections.busy(working, answer);
  connections.closeWaiting();
  expect([silent.destroyed, working.destroyed]).toEqual([true, false]);
  answer.emit("close");
  connections.closeWaiting();
  expect([working.destroyed, connections.count]).toEqual([true, 0]);
});
