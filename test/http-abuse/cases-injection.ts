// Text that would be a page, a header or an object somewhere else. It comes back as a JSON string or not at all.
//
// A browser run over the real screens (test/browser) shows that none of it is executed; here is what the server says.

import { sendRaw } from "./raw-request.ts";
import { type AbuseCase, changed, HOSTILE_NAME, MARKER, NOTE, PAGE, request } from "./world.ts";

/** Written as a note and read again: the same text, as JSON. */
const stored = (name: string, field: "label" | "text" | "tags", text: string): AbuseCase => ({
  name: `${name} as ${field}`,
  send: async (world) => {
    const body = { [field]: field === "tags" ? [text] : text };
    await sendRaw(world.port, request(world, { method: "PUT", path: NOTE, body }));
    const answer = await sendRaw(world.port, request(world, { path: NOTE }));
    await sendRaw(world.port, request(world, { method: "DELETE", path: NOTE }));
    return answer;
  },
  status: 200,
  check: ({ body, headers }) => {
    const value = JSON.parse(body)[field];
    return (
      (Array.isArray(value) ? value[0] : value) === text && headers.get("content-type") === "application/json"
    );
  },
});

/** Part of an address: nothing of it may come back (the marker), nothing of it may become a header. */
const echoed = (name: string, path: string, status: number): AbuseCase => ({
  name: `${name} in the address`,
  send: changed({ path }),
  status,
  check: ({ headers }) => !headers.has("set-cookie") && !headers.has("location"),
});

export const INJECTION_CASES: AbuseCase[] = [
  stored("a script element", "label", "<script>alert(1)</script>"),
  stored("an image with a handler", "label", HOSTILE_NAME),
  stored("an SVG with a handler", "text", "<svg/onload=alert(1)>"),
  stored("the end of a script element", "text", "</script><script>alert(1)</script>"),
  stored("the end of a style element", "text", "</style><script>alert(1)</script>"),
  stored("an attribute's end", "label", "\" onmouseover='alert(1)'"),
  stored("a script address", "text", "javascript:alert(1)"),
  stored("line separators", "label", "a\u2028b\u2029c"),
  stored("reversing characters", "label", "a\u202e\u2066b\u2069"),
  stored("zero-width characters", "tags", "a\u200b\u200d\ufeffb"),
  stored("NUL and escape", "text", "a\u0000\u001b[2Jb"),
  stored("a formula", "label", '=HYPERLINK("http://evil.example","a")'),
  stored("a statement", "tags", "'); DROP TABLE notes; --"),
  stored("a template", "text", `{{constructor.constructor("alert(1)")()}} \${7*7}`),
  stored("a DOM name", "tags", "__proto__"),
  echoed("a script element", `/%3Cscript%3E${MARKER}%3C/script%3E`, 404),
  echoed("a script element raw", `/<script>${MARKER}</script>`, 400),
  echoed("a header", `/api/studies/0/main/notes?a=%0d%0aset-cookie:%20${MARKER}`, 200),
  echoed("a header, bare line feed", `/nothing?%0aset-cookie:%20${MARKER}`, 404),
  echoed("another site", `/${MARKER}?next=//evil.example`, 404),
  echoed("a dictionary's name", `/api/studies/0/%3Cb%3E${MARKER}/notes`, 404),
  echoed("a latent", `/api/studies/0/main/notes/%3Cb%3E${MARKER}`, 404),
  {
    name: "a script element in the page's query",
    send: changed({ path: `/?screen=%3Cscript%3E${MARKER}%3C/script%3E&study=0` }),
    status: 200,
    check: ({ body }) => body === PAGE,
  },
  {
    name: "a run's name",
    send: changed({}),
    status: 200,
    check: ({ body, headers }) =>
      headers.get("content-type") === "application/json" &&
      JSON.parse(body).studies[0].finetuned.includes("<img"),
  },
  {
    name: "script elements in headers",
    send: changed({
      path: "/nothing",
      headers: { referer: `<script>${MARKER}`, "user-agent": `<script>${MARKER}`, accept: "text/html" },
    }),
    status: 404,
    check: ({ headers }) => headers.get("content-type") === "application/json",
  },
  {
    name: "a script element in a refused value",
    send: changed({ method: "PUT", path: NOTE, body: { starred: `<script>${MARKER}</script>` } }),
    status: 400,
  },
  {
    name: "a script element as a refused key",
    send: changed({ method: "PUT", path: NOTE, body: { [`<script>${MARKER}`]: 1 } }),
    status: 400,
  },
  {
    name: "a prototype as a key",
    send: changed({ method: "PUT", path: NOTE, body: `{"__proto__": {"label": "${MARKER}"}}` }),
    status: 400,
    check: () => !("label" in {}),
  },
];
