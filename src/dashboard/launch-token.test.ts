// The launch token: what lets in, what does not, and for how long guessing is possible.

import { expect, test } from "vitest";
import { createLaunchToken, isSameSecret } from "./launch-token.ts";
import { SERVER_LIMITS } from "./security.ts";

test("the token is exchanged for a cookie that lets in, and is no cookie itself; each launch has its own", () => {
  const launch = createLaunchToken({ port: 80 });
  const other = createLaunchToken({ port: 80 });
  // 32 bytes in base64url.
  expect(launch.token).toMatch(/^[\w-]{43}$/);
  expect(other.token).not.toBe(launch.token);
  const result = launch.exchange(launch.token);
  const cookie = result.outcome === "ok" ? result.cookie.split(";")[0] : "";
  expect(result.outcome === "ok" && result.cookie).toMatch(
    /^tunediff-80=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/,
  );
  expect(launch.isSignedIn(cookie)).toBe(true);
  expect(launch.isSignedIn(`a=b; tunediff-80=; ${cookie}`)).toBe(true);
  expect(other.isSignedIn(cookie)).toBe(false);
  expect(launch.isSignedIn(`tunediff-80=${launch.token}`)).toBe(false);
  for (const wrong of ["", "tunediff-80=", cookie.slice(0, -1), `${cookie}a`, `x${cookie}`]) {
    expect(launch.isSignedIn(wrong), wrong).toBe(false);
  }
});

test("after the bound of wrong tokens none is looked at until the window has passed", () => {
  let nowMs = 0;
  const launch = createLaunchToken({ port: 80, now: () => nowMs });
  for (let i = 0; i < SERVER_LIMITS.wrongTokens; i++) expect(launch.exchange(`${i}`).outcome).toBe("wrong");
  expect(launch.exchange(launch.token).outcome).toBe("wait");
  nowMs = SERVER_LIMITS.wrongTokensWindowMs - 1;
  expect(launch.exchange(launch.token).outcome).toBe("wait");
  nowMs += 1;
  expect(launch.exchange(launch.token).outcome).toBe("ok");
});

test("secrets of every length are compared without an error", () => {
  expect([isSameSecret("é", "é"), isSameSecret("", "a"), isSameSecret("a".repeat(9999), "a")]).toEqual([
    true,
    false,
    false,
  ]);
});
