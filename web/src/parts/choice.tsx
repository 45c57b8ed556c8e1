// A choice among a few words: a labelled list to pick from.

import "./page-parts.css";
import type { ReactNode } from "react";

export function Choice<T extends string>(options: {
  label: string;
  value: T;
  choices: readonly (readonly [T, string])[];
  onPick: (value: T) => void;
  isDisabled?: boolean;
}): ReactNode {
  const { label, value, choices, onPick, isDisabled = false } = options;
  return (
    <label className="choice">
      <span>{label}</span>{" "}
      <select value={value} disabled={isDisabled} onChange={(event) => onPick(event.target.value as T)}>
        {choices.map(([choice, words]) => (
          <option key={choice} value={choice}>
            {words}
          </option>
        ))}
      </select>
    </label>
  );
}
