// What may be asked of one latent of the causal experiment: a plain number, and nothing of it comes back.

import { type AbuseCase, changed, MARKER } from "./world.ts";

const of = (latent: string, status: number): AbuseCase => ({
  name: latent,
  send: changed({ path: `/api/studies/0/main/causal/${latent}` }),
  status,
});

export const CAUSAL_CASES: AbuseCase[] = [
  of("0", 409), // nothing was made there: the words say so
  of("-1", 404),
  of("1e3", 404),
  of("0x10", 404),
  of("00", 404),
  of("99999999999", 404),
  of("1%00", 400),
  of("..%2f..%2fsecret", 400),
  of(`%3Cb%3E${MARKER}`, 404),
  of(`1?role=${MARKER}`, 409),
];
