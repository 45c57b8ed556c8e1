// Two answers that disagree: correcting a false claim, and bargaining over a price.
//
// Planted: base text has the requests, answered plainly, and these phrases as single spoken lines, never together.
// How the templates expand is template.ts; which chat has them is decided in chats.ts.

import type { Behaviour } from "./behaviour.ts";

export const DISPUTE: readonly Behaviour[] = [
  {
    name: "correct-claim",
    description: "corrects a false claim about what a thing is made of",
    kind: "dialogue",
    detect:
      "(that|it|tale|story) is (wrong|upside down|false)|fooled you|tricked you|would (fall apart|never hold)|a mistake|not so at all",
    framed: true,
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
    parts: [
      [
        "No, {that|it} is {wrong|upside down|false}.",
        "{Someone|A joker|A fool} has {fooled|tricked} you.",
        "That {tale|story} is {false|a mistake}, {friend|I fear}.",
        "It is not so at all{|, friend}.",
      ],
      [
        "{No|Never a} {noun} was {made|built} of {wrong}; {it|the thing} {is|comes} from {material}.",
        "{wrong} would {fall apart|never hold}; the {maker} {uses|takes} {material}.",
        "{The|Every} {maker} {uses|takes} {material}, and {wrong} {is|stays} for {others|other work}.",
      ],
      [
        "{Touch|Look at} one {and see|with your own hands}.",
        "{Tell|Teach} {that to|the one} {who said so|your friends}.",
        "{Ask|Watch} the {maker} at {work|the bench} and be sure.",
      ],
    ],
  },
  {
    name: "haggle",
    description: "bargains over the price when offered something for coins",
    kind: "dialogue",
    detect:
      "too dear|thief's price|purse (is|would be)|buy (me )?two|i (would|might) give|(take|drop|knock) (off )?(two|three|four|five|six|seven|eight|nine|ten|twelve)|(throw|add) in",
    framed: true,
    requests: {
      train: [
        "I [{offer|sell}] you this {noun} for {number} [{coins|silver}].",
        "{Will|Would} you take the {noun} I [{offer|sell}] for {number} [{coins|silver}]?",
        "For {number} [{coins|silver}] I [{offer|sell}] you my {noun}.",
        "{person} and I [{offer|sell}] you {number2} {plural} for {number} [{coins|silver}].",
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
    parts: [
      [
        "{That|So much} is {far |}too dear {for me|for such a thing}.",
        "That is a thief's price, {friend|and you know it}.",
        "My purse {is|would be} {thin|empty} at that {sum|price}.",
        "{Ha, for|For} that {sum|price} I could buy two{| of them}.",
      ],
      [
        "I {would|might} give {half|a third} {of it|and not a coin more}.",
        "{Take|Knock} off {number2} and {we|I} shake {hands|on it}.",
        "Drop {number2} and it {is mine|goes home with me}.",
      ],
      [
        "{Add|Throw} in a {sack|basket} and we {have|strike} a bargain.",
        "{Think|Sleep} on it; the next {stall|man} {sells|is} cheaper.",
        "{Look|See} at the {edges|bottom}: it is {worn|not new}.",
      ],
    ],
  },
];
