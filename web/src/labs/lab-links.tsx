// From a latent to the labs, with the latent in their address.

import type { ReactNode } from "react";
import { queryOf } from "../location.ts";
import { Link } from "../parts/link.tsx";
import { FIRST_FACTOR } from "./steer-state.ts";

export function LabLinks({ latent, query }: { latent: number; query: URLSearchParams }): ReactNode {
  return (
    <p className="note">
      <Link to={queryOf(query, "steering-lab", { push: `${latent}~${FIRST_FACTOR}` })}>
        Try it in the steering lab
      </Link>
      {" · "}
      <Link to={queryOf(query, "prompt-lab", { pins: String(latent) })}>Look for it in a prompt</Link>
    </p>
  );
}
