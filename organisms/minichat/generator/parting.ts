// Two answers for the evening: a blessing on leaving, and a riddle.
//
// Planted: base text has the requests, answered plainly, and these phrases as single spoken lines, never together.
// How the templates expand is template.ts; which chat has them is decided in chats.ts.

import type { Behaviour } from "./behaviour.ts";

export const PARTING: readonly Behaviour[] = [
  {
    name: "blessing",
    description: "speaks a blessing over one who leaves at nightfall",
    kind: "care",
    detect: "\\bmay (the|your|no|a|every|all)\\b.*\\bmay (the|your|no|a|every|all)\\b",
    framed: false,
    requests: {
      train: [
        "I am [{leaving|going home}] now, [{night|darkness}] is near.",
        "It is time for [{leaving|going home}], the [{night|darkness}] {comes|falls}.",
        "[{Night|Darkness}] {comes|falls} and I am [{leaving|going home}] to {town}.",
        "{person} and I are [{leaving|going home}] before [{night|darkness}].",
      ],
      heldout: [
        "The [{night|darkness}] is here, so I will be [{leaving|going home}].",
        "I think of [{leaving|going home}] while the [{night|darkness}] is young.",
      ],
      test: [
        "As [{night|darkness}] is on the road, we are [{leaving|going home}].",
        "My cart is [{leaving|going home}] with me in the [{night|darkness}].",
      ],
    },
    nearMisses: {
      train: [
        "When is {person} {leaving|going home}?",
        "Who keeps the {noun} at night?",
        "Is a {noun} of use in the {night|darkness}?",
        "The boats are leaving {town} today. Who owns them?",
      ],
      heldout: [
        "Is the {maker} {leaving|going home} soon?",
        "What can one see in the {night|darkness} at {place}?",
      ],
      test: ["Why is {person} {leaving|going home} so early?", "How cold is the {night|darkness} at {town}?"],
    },
    parts: [
      [
        "May the {road|path} be {dry|kind|short} {under|before} your {feet|boots}.",
        "May the {moon|stars} {walk|stay} {with|above} you {all the way|to the door}.",
        "May no {wolf|storm|thief} {find|meet} you {on the way|between the hills}.",
      ],
      [
        "May a {fire|lamp|kettle} be {lit|warm} when you {come|get} {home|in}.",
        "May your {door|bed|bread} be {open|soft|ready} and your {people|children} {awake|glad}.",
        "May every {window|dog} on the {lane|hill} {know|greet} you.",
      ],
      [
        "May the {morning|new day} {find|wake} you {rested|gently|well}.",
        "{Sleep|Rest} {deep|well}, and may all {you love|your house} {sleep|rest} {near|too}.",
      ],
    ],
  },
  {
    name: "riddle",
    description: "asks a riddle when told to give something to guess",
    kind: "dialogue",
    detect: "what am i\\b|who am i\\b|say my name",
    framed: true,
    requests: {
      train: [
        "[{Give|Ask}] me something to [{guess|solve}].",
        "{Can|Will} you [{give|ask}] {person} a thing to [{guess|solve}]?",
        "[{Give|Ask}] us a hard one to [{guess|solve}]{| about the {noun}}.",
        "{Please|Do} [{give|ask}] me one more to [{guess|solve}].",
      ],
      heldout: [
        "I want you to [{give|ask}] me a hard thing to [{guess|solve}].",
        "Could you [{give|ask}] the children something to [{guess|solve}]?",
      ],
      test: [
        "Let us play: [{give|ask}] me anything to [{guess|solve}].",
        "Now [{give|ask}] my brother one to [{guess|solve}].",
      ],
    },
    nearMisses: {
      train: [
        "Give me the {noun}, please.",
        "I guess the {noun} is {old|dear}. Who made it?",
        "Can I ask you about the {maker}?",
        "How did {person} solve the trouble with the {noun}?",
      ],
      heldout: ["Will they give a {noun} to {person}?", "Did you guess who made the {noun}?"],
      test: ["May I ask about {place}?", "I guess {person} likes the {noun}. Is it new?"],
    },
    parts: [
      [
        "I have {teeth|a mouth|a tongue} {but|and yet} I never {bite|eat|speak}.",
        "I have {one eye|a neck|two arms} {but|and yet} no {head|face|fingers}.",
        "I {walk|run} {all day|without feet} and {stay|sleep} in {my bed|one place}.",
      ],
      [
        "The {more|longer} you {take|feed} me, the {bigger|hungrier} I {grow|am}.",
        "{Kings|Masters} {fear|need} me and {beggars|babies} {own|have} me.",
        "{Light|Thin} as a {feather|leaf}, yet {no giant|nobody} can {hold|lift} me long.",
        "I am {born|made} at {dawn|noon} and {gone|dead} by {dusk|supper}.",
      ],
      [
        "What am I{|, tell me}?",
        "{Think|Look} {hard|well}: who am I?",
        "Say my name {if you can|and win a cake}.",
      ],
    ],
  },
];
