// Talks to harvest-peer.py: transformers in a process of its own, one JSON line asked, one answered.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export interface PeerWay {
  mode: "eager" | "sdpa";
  /** Sequences a forward. */
  batch: number;
}

export interface Peer {
  /** "torch 2.13.0, transformers 5.18.0" */
  versions: string;
  /** Seconds of one pass over all sequences. */
  pass(way: PeerWay): Promise<number>;
  stop(): Promise<void>;
}

export interface PeerWork {
  folder: string;
  sequences: number[][];
  layer: number;
  threads: number;
}

/** Undefined when TUNEDIFF_PYTHON names no interpreter. Throws when that interpreter cannot run the peer. */
export async function startPeer(work: PeerWork): Promise<Peer | undefined> {
  const python = process.env.TUNEDIFF_PYTHON;
  if (python === undefined || python === "") return undefined;
  const script = fileURLToPath(new URL("harvest-peer.py", import.meta.url));
  const child = spawn(python, [script], { stdio: ["pipe", "pipe", "inherit"] });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (request: unknown) => {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await answers.next();
    if (done) throw new Error(`${python} ${script} ended early: are torch and transformers installed there?`);
    return JSON.parse(value);
  };
  const { torch, transformers } = await ask(work);
  return {
    versions: `torch ${torch}, transformers ${transformers}`,
    async pass(way) {
      return (await ask(way)).seconds;
    },
    async stop() {
      child.stdin.end();
      if (child.exitCode === null) await once(child, "exit");
    },
  };
}
