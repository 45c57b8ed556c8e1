// Where the prompts of the address are, when they are too long to stand in it.

import type { ReactNode } from "react";
import type { AddressPrompts } from "./kept-prompts.ts";

export function KeptNote(options: { where: AddressPrompts["where"]; query: URLSearchParams }): ReactNode {
  const { where, query } = options;
  const key = query.get("kept");
  if (key === "")
    return (
      <p className="note">
        The text is too long for the address, and this browser does not keep it: it stands in these fields
        alone.
      </p>
    );
  if (where === "lost")
    return (
      <p className="note">
        The address names a text that another tab kept, because it is too long for an address. It is not here:
        paste it again.
      </p>
    );
  if (key !== null)
    return (
      <p className="note">
        The text is too long for the address: this tab keeps it until it is closed, and the address shows it
        nowhere else.
      </p>
    );
  return null;
}
