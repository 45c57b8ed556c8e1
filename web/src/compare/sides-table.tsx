// The side-by-side table: a group of rows each for what two dictionaries are, fit, claim and do; what differs is marked.

import type { ReactNode } from "react";
import type { Missing } from "../../../src/dashboard/api-contract.ts";
import { formatAmount } from "../format.ts";
import { ScrollRegion } from "../parts/scroll-region.tsx";
import { SidedWords } from "../parts/token.tsx";
import type { ComparedGroup, ComparedRow } from "./side-by-side.ts";

export function SidesTable({
  groups,
  showsSame,
}: {
  groups: readonly ComparedGroup[];
  showsSame: boolean;
}): ReactNode {
  return (
    <ScrollRegion className="scroll" label="The two dictionaries side by side">
      <table className="counts sides">
        <thead>
          <tr>
            <th scope="col">
              <span className="hidden">figure</span>
            </th>
            <th scope="col">A</th>
            <th scope="col">B</th>
            <th scope="col">B − A</th>
          </tr>
        </thead>
        {groups.map((group) => (
          <Group key={group.name} group={group} showsSame={showsSame} />
        ))}
      </table>
    </ScrollRegion>
  );
}

function Group({ group, showsSame }: { group: ComparedGroup; showsSame: boolean }): ReactNode {
  const { name, isLong, rows, missing } = group;
  const shown = isLong && !showsSame ? rows.filter(({ differs }) => differs) : rows;
  const nHidden = rows.length - shown.length;
  // The same is missing in both: said once.
  const bothLack =
    missing.length === 2 && missing[0].part.words === missing[1].part.words ? missing[0].part : undefined;
  return (
    <tbody>
      <tr className="group">
        <th scope="rowgroup" colSpan={4}>
          {name}
        </th>
      </tr>
      {shown.map((row) => (
        <Row key={row.name} row={row} />
      ))}
      {nHidden > 0 && (
        <tr>
          <td className="words note" colSpan={4}>
            {formatAmount(nHidden, "more row")}, the same in both
          </td>
        </tr>
      )}
      {bothLack !== undefined && <Lacking of="A and B" part={bothLack} />}
      {bothLack === undefined &&
        missing.map(({ of, part }) => <Lacking key={of} of={of === "a" ? "A" : "B"} part={part} />)}
    </tbody>
  );
}

function Lacking({ of, part }: { of: string; part: Missing }): ReactNode {
  return (
    <tr>
      <td className="words lacks" colSpan={4}>
        <b>{of}.</b> {part.words}
        {part.command !== "" && (
          <>
            {" "}
            Make it with <code>{part.command}</code>
          </>
        )}
      </td>
    </tr>
  );
}

function Row({ row }: { row: ComparedRow }): ReactNode {
  return (
    <tr className={row.differs ? "differs" : undefined}>
      <th scope="row">
        <SidedWords words={row.name} />
        {row.differs && (
          <>
            <span aria-hidden="true" className="unequal">
              {" "}
              ≠
            </span>
            <span className="hidden">, differs</span>
          </>
        )}
      </th>
      <td>
        <bdi>{row.a}</bdi>
      </td>
      <td>
        <bdi>{row.b}</bdi>
      </td>
      <td>{row.difference}</td>
    </tr>
  );
}
