// A field for an exact number: any text while it is typed, the number once it is one within its bounds.

import { type ReactNode, useEffect, useState } from "react";

export function NumberField<T>(options: {
  label: string;
  /** Labels that are seen elsewhere are only said. */
  isLabelHidden?: boolean;
  value: T;
  parse: (text: string) => T | null;
  write: (value: T) => string;
  onChange: (value: T) => void;
  className?: string;
  hint?: string;
  isDisabled?: boolean;
}): ReactNode {
  const {
    label,
    isLabelHidden = false,
    value,
    parse,
    write,
    onChange,
    className = "number",
    hint,
    isDisabled,
  } = options;
  const written = write(value);
  const [text, setText] = useState(written);
  useEffect(() => {
    // What is being typed means the value that stands: it is left as it is.
    setText((typed) => {
      const parsed = parse(typed);
      return parsed !== null && write(parsed) === written ? typed : written;
    });
  }, [written, parse, write]);
  const isInvalid = parse(text) === null;
  return (
    <label className="field">
      <span className={isLabelHidden ? "hidden" : undefined}>{label}</span>{" "}
      <input
        className={className}
        inputMode="decimal"
        value={text}
        disabled={isDisabled}
        aria-invalid={isInvalid || undefined}
        title={hint}
        onChange={(event) => {
          setText(event.target.value);
          const parsed = parse(event.target.value);
          if (parsed !== null) onChange(parsed);
        }}
        onBlur={() => {
          if (isInvalid) setText(written);
        }}
      />
    </label>
  );
}

/** A choice of few words. */
export function ChoiceField<T extends string>(options: {
  label: string;
  value: T;
  choices: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}): ReactNode {
  const { label, value, choices, onChange } = options;
  return (
    <label className="field">
      <span>{label}</span>{" "}
      <select value={value} onChange={(event) => onChange(event.target.value as T)}>
        {choices.map(([choice, words]) => (
          <option key={choice} value={choice}>
            {words}
          </option>
        ))}
      </select>
    </label>
  );
}
