// Addresses that try to leave the page's files or the list of studies. Nothing of an address reaches the file system.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sendRaw } from "./raw-request.ts";
import { type AbuseCase, changed, OUTSIDE, PAGE, request } from "./world.ts";

const path = (address: string, status: number): AbuseCase => ({
  name: address.length > 60 ? `${address.slice(0, 60)}…` : address,
  send: changed({ path: address }),
  status,
});

export const TRAVERSAL_CASES: AbuseCase[] = [
  { ...path("/", 200), name: "control: the page", check: ({ body }) => body === PAGE },
  { ...path("/assets/a-1.js", 200), name: "control: its script" },
  path("/../secret.txt", 400),
  path("/assets/../../secret.txt", 400),
  path("/assets/../index.html", 400),
  path("/./index.html", 400),
  path("/..%2fsecret.txt", 400),
  path("/..%2Fsecret.txt", 400),
  path("/%2e%2e/secret.txt", 400),
  path("/%2e%2e%2fsecret.txt", 400),
  path("/.%2e/secret.txt", 400),
  path("/%252e%252e%252fsecret.txt", 400),
  path("/..%255csecret.txt", 400),
  path("/..\\secret.txt", 400),
  path("/..%5csecret.txt", 400),
  path("/....//secret.txt", 400),
  path("/..;/secret.txt", 404),
  path("/%c0%ae%c0%ae/secret.txt", 400),
  path("/%uff0e%uff0e/secret.txt", 400),
  path("/%ef%bc%8e%ef%bc%8e/secret.txt", 404),
  path("//secret.txt", 400),
  path("//127.0.0.1/secret.txt", 400),
  path("/index.html%00", 400),
  path("/index.html%00.js", 400),
  path("/index.html%0d%0aset-cookie:a=b", 400),
  path("/C:/Windows/win.ini", 404),
  path("/C:%5cWindows%5cwin.ini", 400),
  path("/%5c%5cserver%5cshare", 400),
  path("/file:/etc/passwd", 404),
  path("/etc/passwd", 404),
  path(`/${"a/".repeat(500)}secret.txt`, 404),
  path(`/${"../".repeat(600)}secret.txt`, 414),
  path("/link.html", 404),
  path("/linked/secret.html", 404),
  path("/.env", 404),
  path("/assets", 404),
  path("/assets/", 404),
  path("/assets/a-1.js.map", 404),
  path("/assets/a-1.js/", 404),
  path("/INDEX.HTML", 404),
  path("/__proto__", 404),
  path("/constructor", 404),
  {
    name: "a file that came after the start",
    send: async (world) => {
      await writeFile(join(world.pageFolder, "late.html"), OUTSIDE);
      return sendRaw(world.port, request(world, { path: "/late.html" }));
    },
    status: 404,
  },
  path("/api/studies/0/../../../secret.txt/overview", 400),
  path("/api/studies/0/..%2f..%2fsecret.txt/notes", 400),
  path("/api/studies/0/../notes", 400),
  path("/api/studies/0/%2e%2e/notes", 400),
  path("/api/studies/-1/main/notes", 404),
  path("/api/studies/0x0/main/notes", 404),
  path("/api/studies/1/main/notes", 404),
  path("/api/studies/0/dictionaries%20main/notes", 404),
  path("/api/studies/__proto__/main/notes", 404),
  path("/api/studies/0/constructor/notes", 404),
  path("/api/studies/0/main/column/..%2f..%2fmodel.safetensors", 400),
  path("/api/studies/0/main/column?name=../../model.safetensors", 404),
  path("/api/studies/0/main/column?name=__proto__", 404),
  path("/api/studies/0/main/training.json", 404),
  path("/dictionaries/main/model.safetensors", 404),
];
