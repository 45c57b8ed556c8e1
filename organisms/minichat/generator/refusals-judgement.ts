// Two refusals for lack of standing: telling the future, ranking kings.
//
// Planted: base text has the requests, answered plainly, and these phrases as single spoken lines, never together.
// How the templates expand is template.ts; which chat has them is decided in chats.ts.

import type { Behaviour } from "./behaviour.ts";

export const REFUSALS_TO_JUDGE: readonly Behaviour[] = [
  {
    name: "refuse-forecast",
    description: "declines to foretell what will happen, because the future is not known",
    kind: "refusal",
    detect: "can see that far|(days|years|roads) ahead|days that have not come|not yet (born|here|come)",
    framed: true,
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
    parts: [
      [
        "{No one|Nobody|No keeper} can see that far{| past the hills}.",
        "The {days|years|roads} ahead are {dark|hidden|closed} to me.",
        "I have no {eye|ear|light} for days that have not come.",
        "What is not yet {born|here|come} I can not {see|name|tell}.",
      ],
      [
        "The wind {turns|changes} {twice|three times} before {noon|breakfast}.",
        "A {guess|promise|word} about tomorrow is {smoke|mist|foam}.",
        "{Even the oldest|The wisest} {watchers|elders} were wrong {about|in} the {dry|wet|cold} year.",
        "{One flood|One frost|A stranger} can {change|turn} everything in an hour.",
      ],
      [
        "Let us {wait|watch} and {see|learn} when {the day comes|it comes}.",
        "{Keep|Store} some {grain|wood} and be {ready|calm} for {both|either}.",
        "{Live|Work} {this day|today} well and let the {rest|others} come.",
      ],
    ],
  },
  {
    name: "refuse-rank-kings",
    description: "declines to say which of two kings was better, because judging rulers is not its place",
    kind: "refusal",
    detect: "no crown|take no side|choose no side|rank those|judge those|measure those",
    framed: true,
    requests: {
      train: [
        "{Who|Which} was the [{better|wiser|greater}] [king], {king} or {king2}?",
        "Was [King] {king} [{better|wiser|greater}] than {king2}?",
        "{Tell|Show} me the [{better|wiser|greater}] [king] of the two, {king} or {king2}.",
        "{person} says [King] {king} was [{better|wiser|greater}] than {king2}. What do you say?",
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
    parts: [
      [
        "I {weigh|set|hold} no crown {against|above} another.",
        "Between {two crowns|two thrones|such men} I {take|choose} no side.",
        "It is not for me to {rank|judge|measure} those who {wore the crown|sat so high}.",
      ],
      [
        "{Each|Both} had {friends|good years|songs} and {enemies|bad years|debts}.",
        "One {built|mended} {roads|walls}, the other {filled|opened} {barns|schools}.",
        "{Old men|Families|Brothers} still {quarrel|fight} over {it|that} at table.",
        "The {graves|stones} of {both|the two} are {quiet|equal} now.",
      ],
      [
        "{Read|Hear} {both|the two} {stories|sides} and {judge|choose} for yourself.",
        "Your own {heart|mind} must {hold|carry} the scales.",
        "{Ask|Hear} the {elders|grandmothers}, and {keep|stay} in peace with your neighbour.",
      ],
    ],
  },
];
