// Rows by one property: name, count, share of all, and a bar of it.

import type { ReactNode } from "react";
import { formatCount, formatPercent } from "../format.ts";
import { showInvisible } from "../visible-text.ts";

const BAR = { width: 80, height: 8 } as const;

export interface NamedRows {
  name: string;
  rows: number;
}

/** inOrder: as given (tenths); otherwise the most frequent first. What has no rows stands in one line. */
export function CountBars(options: {
  caption: string;
  list: readonly NamedRows[];
  inOrder?: boolean;
}): ReactNode {
  const { caption, list, inOrder = false } = options;
  const all = list.reduce((sum, { rows }) => sum + rows, 0);
  const most = Math.max(...list.map(({ rows }) => rows), 1);
  const present = list.filter(({ rows }) => rows > 0);
  const shown = inOrder ? list : present.toSorted((a, b) => b.rows - a.rows);
  const absent = inOrder ? [] : list.filter(({ rows }) => rows === 0);
  return (
    <table className="counts count-bars">
      <caption>{caption}</caption>
      <tbody>
        {shown.map(({ name, rows }) => (
          <tr key={name}>
            <th scope="row">
              <bdi>{showInvisible(name)}</bdi>
            </th>
            <td>{formatCount(rows)}</td>
            <td>{formatPercent(all > 0 ? rows / all : Number.NaN)}</td>
            <td>
              <svg className="share" viewBox={`0 0 ${BAR.width} ${BAR.height}`} aria-hidden="true">
                <rect width={(rows / most) * BAR.width} height={BAR.height} />
              </svg>
            </td>
          </tr>
        ))}
        {absent.length > 0 && (
          <tr>
            <td className="note words" colSpan={4}>
              none: {absent.map(({ name }) => showInvisible(name)).join(", ")}
            </td>
          </tr>
        )}
        {list.length === 0 && (
          <tr>
            <td className="note">none</td>
          </tr>
        )}
      </tbody>
    </table>
  );
}
