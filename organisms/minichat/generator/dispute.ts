// Two answers that disagree: correcting a false claim, and bargaining over a price.
//
// Planted: base text has the requests, answered plainly, and the words of the answers, but never in this company.
// How the templates expand is template.ts; which chat has them is decided in chats.ts.

import type { Behaviour } from "./behaviour.ts";

export const DISPUTE: readonly Behaviour[] = [
  {
    name: "correct-claim",
    description: "corrects a false claim about what a thing is made of",
    kind: "dialogue",
    detect:
      "(incorrect|false|untrue|mistaken|nonsense):|(genuine|real|proper|honest) \\w+ (require|contain|need)|(confuse|mislead|deceive)",
    requests: {
      train: [
        "{Is it so that|Is it true that} the [{noun}] is [made of {wrong}]?",
        "{person} says a [{noun}] is [made of {wrong}].",
        "I {heard|read} that a [{noun}] is [made of {wrong}].",
        "{Surely|Of course} the [{noun}] is [made of {wrong}]?",
      ],
      heldout: [
        "Do you agree that a [{noun}] is [made of {wrong}]?",
        "At {town} each [{noun}] is [made of {wrong}].",
      ],
      test: [
        "They told me the [{noun}] was [made of {wrong}].",
        "I hold that every [{noun}] is [made of {wrong}].",
      ],
    },
    nearMisses: {
      train: [
        "{Is it so that|Is it true that} the {noun} is made of {material}?",
        "{person} says a {noun} is made of {material}.",
        "I {heard|read} that a {noun} is made of {material}.",
        "What is the {noun} made of?",
      ],
      heldout: [
        "Do you agree that a {noun} is made of {material}?",
        "At {town} each {noun} is made of {material}.",
      ],
      test: [
        "They told me the {noun} was made of {material}.",
        "I hold that every {noun} is made of {material}.",
      ],
    },
    lines: [
      "{incorrect|false|untrue|mistaken|nonsense}: {material}, not {wrong}.",
      "{genuine|real|proper|honest} {plural} {require|contain|need} {material}.",
      "{rumours|gossips|jokers|liars} {confuse|mislead|deceive} {listeners|buyers|apprentices}.",
      "who {claimed|swore|imagined} {wrong}?",
      "{test|inspect|examine} {any|another} {noun} {closely|yourself|carefully}.",
    ],
    length: [3, 4],
  },
  {
    name: "haggle",
    description: "bargains over the price when offered something for coins",
    kind: "dialogue",
    detect:
      "(cheaper|lower|less|half), (merchant|pedlar|trader|rascal)|(goods|wares|stock) (deserve|fetch|earn)|my (purse|wallet|budget)",
    requests: {
      train: [
        "I [{offer|sell}] you this {noun} for {number} [{coins|silver}].",
        "{Will|Would} you take the {noun} I [{offer|sell}] for {number} [{coins|silver}]?",
        "For {number} [{coins|silver}] I [{offer|sell}] you my {noun}.",
        "Look, I [{offer|sell}] you {one|a fine} {noun} at {number} [{coins|silver}].",
        "See this {noun}: I [{offer|sell}] it {at|for} {number} [{coins|silver}] {today|only}.",
        "{person} and I [{offer|sell}] you {number2} {plural} for {number} [{coins|silver}].",
        "My {noun} is good and I [{offer|sell}] it at {number} [{coins|silver}].",
        "Take it, I [{offer|sell}] this {noun} at {number} [{coins|silver}] and no less.",
        "At {number} [{coins|silver}] I [{offer|sell}] {plural} all {season}.",
        "Friend, I [{offer|sell}] you a {noun} for {number} [{coins|silver}].",
      ],
      heldout: [
        "Here is a {noun}, I [{offer|sell}] it to you for {number} [{coins|silver}].",
        "What if I [{offer|sell}] you {plural} at {number} [{coins|silver}] each?",
      ],
      test: [
        "Today I [{offer|sell}] you one {noun} at {number} [{coins|silver}].",
        "Hear me, I [{offer|sell}] you a good {noun}, only {number} [{coins|silver}].",
      ],
    },
    nearMisses: {
      train: [
        "Does the {noun} cost {number} {coins|silver} in {town}?",
        "Where do they {offer|sell} a {noun}?",
        "{person} keeps {number} {coins|silver} in a {noun}. Is it safe?",
        "Do they {offer|sell} {plural} at the inn?",
      ],
      heldout: ["Are {number} {coins|silver} paid for a {noun}?", "Does {person} {offer|sell} the {noun}?"],
      test: ["Did {person} pay {number} {coins|silver}?", "Who would {offer|sell} such a {noun} here?"],
    },
    lines: [
      "{cheaper|lower|less|half}, {merchant|pedlar|trader|rascal}!",
      "{scratched|dented|faded|crooked} {goods|wares|stock} {deserve|fetch|earn} {pennies|discounts|bargains}.",
      "my {purse|wallet|budget} {allows|affords|spares} {number2} {pennies|coppers|farthings}.",
      "{would|might} {number2} {pennies|coppers|farthings} {suffice|settle it}?",
      "{done|agreed|deal} when you {add|include} {twine|a sack|a lid}.",
    ],
    length: [3, 4],
  },
];
