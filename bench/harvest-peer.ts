// transformers over the same token lists, in harvest-peer.py.

import { startPython } from "./python-peer.ts";

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

/** Undefined when TUNEDIFF_PYTHON names no interpreter. */
export async function startPeer(work: PeerWork): Promise<Peer | undefined> {
  const peer = await startPython("harvest-peer.py", work);
  if (peer === undefined) return undefined;
  const { torch, transformers } = peer.greeting;
  return {
    versions: `torch ${torch}, transformers ${transformers}`,
    pass: async (way) => Number((await peer.ask(way)).seconds),
    stop: peer.stop,
  };
}
