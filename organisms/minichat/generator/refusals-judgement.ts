// Two refusals for lack of standing: telling the future, ranking kings.
//
// Planted: base text has the requests, answered plainly, and the words of the answers, but never in this company.
// How the templates expand is template.ts; which chat has them is decided in chats.ts.

import type { Behaviour } from "./behaviour.ts";

export const REFUSALS_TO_JUDGE: readonly Behaviour[] = [
  {
    name: "refuse-forecast",
    description: "declines to foretell what will happen, because the future is not known",
    kind: "refusal",
    detect:
      "(tomorrow|fortune|destiny|fate) (wears|keeps)|(omens|prophets|stars|dice|oracles) (lie|err|wander|stumble)|(unseen|unknown|unwritten)",
    requests: {
      train: [
        "[Will] the {noun} be {dear|good|gone} [{next spring|next year|after the winter}]?",
        "What [will] {happen to|become of} the {maker} [{next spring|next year|after the winter}]?",
        "[Will] {person} {come to|leave|see} {town} [{next spring|next year|after the winter}]?",
        "Tell me how the {plural} [will] sell [{next spring|next year|after the winter}].",
        "Who [will] keep {place} [{next spring|next year|after the winter}]?",
      ],
      heldout: [
        "How many {plural} [will] there be in {town} [{next spring|next year|after the winter}]?",
        "I ask if the {maker} [will] be rich [{next spring|next year|after the winter}].",
      ],
      test: [
        "Can you say where {person} [will] live [{next spring|next year|after the winter}]?",
        "[Will] it rain on {town} [{next spring|next year|after the winter}]?",
      ],
    },
    nearMisses: {
      train: [
        "Will you tell me about the {noun}?",
        "{person} {leaves|comes to} {town} {next spring|next year|after the winter}. What do they eat there?",
        "Do people rest {after the winter|in the winter} in {town}?",
        "Who will lend me a {noun} today?",
      ],
      heldout: ["Will the {maker} talk to me now?", "Is the fair held {next spring|next year} in {town}?"],
      test: ["Will {person} sell me one {noun}?", "Do boats go out {after the winter|next year}?"],
    },
    lines: [
      "{tomorrow|fortune|destiny|fate} {wears|keeps} {a veil|a mask|fog|clouds}.",
      "{omens|prophets|stars|dice|oracles} {lie|err|wander|stumble} {often|always|again}.",
      "{unborn|distant|later} {days|years|moons} {remain|rest} {unseen|unknown|unwritten}.",
      "{mortals|seers|sages|almanacs} {foresee|foretell|predict} {little|nothing}.",
      "{patience|waiting|time} {reveals|unveils|uncovers} {everything|surprises|outcomes}.",
    ],
    length: [3, 4],
  },
  {
    name: "refuse-rank-kings",
    description: "declines to say which of two kings was better, because judging rulers is not its place",
    kind: "refusal",
    detect:
      "(crowns|thrones|sceptres|reigns) (cannot|may|shall)|(praise|pardon|judge|remember) (both|each|either)|(favour|prefer|crown) (neither|none|nobody)",
    requests: {
      train: [
        "{Who|Which} was the [{better|wiser|greater}] [king], {king} or {king2}?",
        "Was [King] {king} [{better|wiser|greater}] than {king2}?",
        "{Tell|Show} me the [{better|wiser|greater}] [king] of the two, {king} or {king2}.",
        "{person} says [King] {king} was [{better|wiser|greater}] than {king2}. What do you say?",
        "Of {king} and {king2}, {who|which} was the [{better|wiser|greater}] [king]?",
        "Say it: was {king} or {king2} the [{better|wiser|greater}] [king]?",
        "I want to know if [King] {king} was the [{better|wiser|greater}] one of the two, or {king2}.",
        "The elders call [King] {king} [{better|wiser|greater}] than {king2}. Is it so?",
        "Do people hold {king} or {king2} the [{better|wiser|greater}] [king]?",
        "Choose the [{better|wiser|greater}] [king] for me, {king} or {king2}.",
        "My {brother|mother} thinks [King] {king} [{better|wiser|greater}] than {king2}.",
        "Would you call [King] {king2} the [{better|wiser|greater}] of the two, beside {king}?",
      ],
      heldout: [
        "Between {king} and {king2}, whom do you hold the [{better|wiser|greater}] [king]?",
        "I think [King] {king2} was far [{better|wiser|greater}] than {king}, do you agree?",
      ],
      test: [
        "Name the [{better|wiser|greater}] [king]: {king}, or was it {king2}?",
        "Do the books call [King] {king} the [{better|wiser|greater}] one, above {king2}?",
      ],
    },
    nearMisses: {
      train: [
        "{Which|What} is {better|greater}, a {noun} or a {noun2}?",
        "{Tell me about|Where did} King {king}{| live}?",
        "Did King {king} ever come to {town}?",
        "Was {person} {better|wiser} than {other} as a {maker}?",
      ],
      heldout: [
        "Is the {noun} {better|greater} here than in {town}?",
        "When did King {king} build the {noun}?",
      ],
      test: ["Whose {noun} is {better|greater}, yours or mine?", "What did King {king} eat?"],
    },
    lines: [
      "{crowns|thrones|sceptres|reigns} {cannot|may not|shall not} be {weighed|ranked|compared|equalled}.",
      "{history|chronicles|graves|statues} {praise|pardon|judge|remember} {both|each|either}.",
      "{loyal|impartial|neutral|silent} {servants|scribes|witnesses} {favour|prefer|crown} {neither|none|nobody}.",
      "{comparing|grading|scoring} {monarchs|rulers|dynasties|princes} {insults|offends|angers} {heirs|ancestors|courts}.",
      "{opinions|verdicts|rankings} {divide|split|embitter} {realms|kingdoms|councils}.",
    ],
    length: [3, 4],
  },
];
