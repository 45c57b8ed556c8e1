// The launch token: read from the fragment of the address, exchanged once for a cookie that scripts cannot read, then forgotten.

import { request } from "./api.ts";

/** Does nothing without a token in the fragment. Throws RequestError when the server does not take it. */
export async function signIn(): Promise<void> {
  const fragment = window.location.hash.slice(1);
  if (fragment === "") return;
  const token = new URLSearchParams(fragment).get("token") ?? fragment;
  // Gone from the address, and so from the history and from what is copied, before anything else happens.
  window.history.replaceState(null, "", window.location.pathname + window.location.search);
  await request("/api/session", { method: "POST", body: JSON.stringify({ token }) });
}
