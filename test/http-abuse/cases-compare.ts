// Requests for a comparison that name what is not served, more than is asked for, or far too much of it.

import { type AbuseCase, changed, HOSTILE_NAME, MARKER } from "./world.ts";

const COMPARE = "/api/studies/0/main/compare";
const OTHER = "otherStudy=0&other=main";

const get = (name: string, path: string, status: number): AbuseCase => ({
  name,
  send: changed({ path }),
  status,
});

export const COMPARE_CASES: AbuseCase[] = [
  get("control: a dictionary with itself", `${COMPARE}?${OTHER}`, 200),
  get("no other dictionary", COMPARE, 400),
  get("the other one twice", `${COMPARE}?${OTHER}&other=${MARKER}`, 400),
  get("an other one that climbs", `${COMPARE}?otherStudy=0&other=..%2f..%2fsecret.txt`, 404),
  get("an other one with a NUL", `${COMPARE}?otherStudy=0&other=main%00`, 404),
  get("an other one in HTML", `${COMPARE}?otherStudy=0&other=${encodeURIComponent(HOSTILE_NAME)}`, 404),
  get("an other one of 1,000 characters", `${COMPARE}?otherStudy=0&other=${"a".repeat(1000)}`, 400),
  get("an other one of the prototype", `${COMPARE}?otherStudy=0&other=__proto__`, 404),
  get("a negative other study", `${COMPARE}?otherStudy=-1&other=main`, 404),
  get("an immense other study", `${COMPARE}?otherStudy=${"9".repeat(40)}&other=main`, 400),
  get("an other study in words", `${COMPARE}?otherStudy=${MARKER.slice(0, 9)}&other=main`, 404),
  get("matches of one that is not measured", `${COMPARE}/matches?${OTHER}`, 409),
  get("matches by an unknown way", `${COMPARE}/matches?${OTHER}&by=${MARKER}`, 400),
  get("matches of unknown latents", `${COMPARE}/matches?${OTHER}&latents=${MARKER}`, 400),
  get("matches with a threshold of one's own", `${COMPARE}/matches?${OTHER}&score=0`, 400),
  {
    name: "a comparison by POST",
    send: changed({ method: "POST", path: `${COMPARE}?${OTHER}`, body: "{}" }),
    status: 404,
  },
];
