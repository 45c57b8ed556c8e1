// A part that scrolls by itself, reachable with the keyboard and named for screen readers.

import type { ReactNode, Ref } from "react";

export function ScrollRegion(options: {
  label: string;
  className: string;
  ref?: Ref<HTMLElement>;
  children: ReactNode;
}): ReactNode {
  const { label, className, ref, children } = options;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable with the keyboard
    <section className={className} ref={ref} tabIndex={0} aria-label={label}>
      {children}
    </section>
  );
}
