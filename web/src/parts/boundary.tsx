// Keeps an error in one screen from taking the page with it: says what happened, and loads the page again when asked.
//
// Among them is a screen whose file does not come, because the server has gone or was updated under an open page.

import { Component, type ReactNode } from "react";
import { RequestError } from "../request-error.ts";
import { Failure } from "./states.tsx";

export class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (error === null) return this.props.children;
    const words = new RequestError(0, {
      error: `This screen could not be shown: ${error.message}`,
      hint: "Is `tunediff serve` still running? Its terminal shows the address to open.",
    });
    return <Failure error={words} retry={() => window.location.reload()} />;
  }
}
