import { expect, test } from "vitest";
import { createAnswerText } from "./answer-text.ts";

/** Ids are bytes. */
const decode = (ids: ArrayLike<number>): string =>
  new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(Array.from(ids)));

function pieces(bytes: Uint8Array, isStop: (i: number) => boolean = () => false): string[] {
  const text = createAnswerText(decode);
  return Array.from(bytes, (byte, i) =>
    text.add(byte, { isStop: isStop(i), isLast: i === bytes.length - 1 }),
  );
}

test("a character of several tokens comes whole, with its last token", () => {
  expect(pieces(new TextEncoder().encode("a–é!"))).toEqual(["a", "", "", "–", "", "é", "!"]);
});

test("the pieces together are the answer's text, whatever the bytes", () => {
  const whole = new TextEncoder().encode("naïve 日本 🙂 –");
  for (let seed = 0; seed < 200; seed += 1) {
    // Some bytes of whole characters, and some that are none.
    const bytes = Uint8Array.from(whole, (byte, i) =>
      (i * 31 + seed * 17) % 11 === 0 ? (seed * 53 + i * 7) % 256 : byte,
    ).subarray(0, 1 + (seed % whole.length));
    expect(pieces(bytes).join("")).toBe(decode(bytes));
  }
});

test("bytes that never become a character are told at the end, and a stop token says nothing", () => {
  expect(pieces(Uint8Array.of(0x61, 0xe2, 0x80))).toEqual(["a", "", "\uFFFD"]);
  expect(pieces(Uint8Array.of(0x61, 0x62), (i) => i === 1)).toEqual(["a", ""]);
});
