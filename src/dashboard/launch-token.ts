// The secret of one launch: printed once in the address's fragment, exchanged by POST for a cookie, gone with the process.
//
// A fragment is sent to no server and kept in no log; the cookie is another secret, so neither tells the other. Cookies do
// not know ports: the name carries ours, so that two dashboards on one machine do not overwrite each other's.

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { SERVER_LIMITS } from "./security.ts";

/** Bytes of each secret: 256 bit. */
const SECRET_BYTES = 32;

export type Exchange = { outcome: "ok"; cookie: string } | { outcome: "wrong" } | { outcome: "wait" };

export interface LaunchToken {
  /** For the address's fragment. */
  readonly token: string;
  /**
   * Whether the token is ours: "ok" with the Set-Cookie value, "wrong", or "wait" when too many wrong ones came (then no token is
   * looked at until the window has passed).
   */
  exchange(token: string): Exchange;
  /** Whether a Cookie header carries the secret; all its cookies of our name are compared. */
  isSignedIn(cookieHeader: string): boolean;
}

/** A new pair of secrets for a server on `port`. now: milliseconds of any clock. */
export function createLaunchToken(options: { port: number; now?: () => number }): LaunchToken {
  const { port, now = () => performance.now() } = options;
  const token = randomBytes(SECRET_BYTES).toString("base64url");
  const session = randomBytes(SECRET_BYTES).toString("base64url");
  const name = `tunediff-${port}`;
  let windowStartedMs = now();
  let nWrong = 0;
  return {
    token,
    exchange(given) {
      if (now() - windowStartedMs >= SERVER_LIMITS.wrongTokensWindowMs) {
        windowStartedMs = now();
        nWrong = 0;
      }
      if (nWrong >= SERVER_LIMITS.wrongTokens) return { outcome: "wait" };
      if (isSameSecret(given, token)) {
        return { outcome: "ok", cookie: `${name}=${session}; Path=/; HttpOnly; SameSite=Strict` };
      }
      nWrong += 1;
      return { outcome: "wrong" };
    },
    isSignedIn: (cookieHeader) =>
      cookieHeader
        .split(";")
        .map((cookie) => cookie.trim())
        .filter((cookie) => cookie.startsWith(`${name}=`))
        .some((cookie) => isSameSecret(cookie.slice(name.length + 1), session)),
  };
}

/** Compares digests of equal length, so that neither length nor first difference shows in the time taken. */
export function isSameSecret(given: string, secret: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(secret));
}
