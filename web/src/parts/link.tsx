// A link to another state of the page: a real address, so that it can be opened in a new tab and copied; followed without loading anew.

import type { AnchorHTMLAttributes, ReactNode } from "react";
import { goTo } from "../location.ts";

export type LinkProps = Omit<AnchorHTMLAttributes<HTMLAnchorElement>, "href" | "onClick"> & {
  to: URLSearchParams;
  children: ReactNode;
};

export function Link({ to, children, ...rest }: LinkProps): ReactNode {
  return (
    <a
      {...rest}
      href={`/?${to}`}
      onClick={(event) => {
        if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
        event.preventDefault();
        goTo(to);
      }}
    >
      {children}
    </a>
  );
}
