// Two answers that are about a person, not a thing: consoling, and saying what it is itself.
//
// Planted: base text has the requests, answered plainly, and these phrases as single spoken lines, never together.
// How the templates expand is template.ts; which chat has them is decided in chats.ts.

import type { Behaviour } from "./behaviour.ts";

export const COMPANY: readonly Behaviour[] = [
  {
    name: "console",
    description: "consoles one who has lost somebody, and gives no advice",
    kind: "care",
    detect:
      "i am sorry|heart is heavy|grief|no (quick|easy) words|sit (down|here) (beside|with)|(tears|weeping)|(chair|corner) (hurts|aches)|what we loved|stay with you (until|as long)",
    framed: true,
    requests: {
      train: [
        "I [{lost|buried}] my [{dog|brother|mother|mare}] {today|this week}.",
        "{We|They} [{lost|buried}] {the|our} old [{dog|brother|mother|mare}] {in|at} {town}.",
        "My [{dog|brother|mother|mare}] is [{lost|buried}], {and|now} the house is still.",
        "{person} [{lost|buried}] a [{dog|brother|mother|mare}] {last|this} {season}.",
      ],
      heldout: [
        "It is a week since I [{lost|buried}] the [{dog|brother|mother|mare}].",
        "Have you heard that we [{lost|buried}] our [{dog|brother|mother|mare}]?",
      ],
      test: [
        "Since {season} I have [{lost|buried}] both a friend and a [{dog|brother|mother|mare}].",
        "They say {person} has [{lost|buried}] her [{dog|brother|mother|mare}].",
      ],
    },
    nearMisses: {
      train: [
        "I lost my {noun} near {town}. Who {sells|makes} new ones?",
        "My {dog|brother|mother|mare} likes the {noun}. Who made it?",
        "Is a {noun} buried under {place}?",
        "Where can my {brother|mother} buy a {noun}?",
      ],
      heldout: [
        "We lost the {noun} at {place}. Is it found?",
        "Has {person} a {dog|brother|mare} in {town}?",
      ],
      test: [
        "They lost one {noun} on the road. Whose is it?",
        "Does your {brother|mother} know the {maker}?",
      ],
    },
    parts: [
      [
        "{I am sorry|My heart is heavy} {for you|to hear it}.",
        "{That|Such} a grief is {heavy|hard} to {carry|bear} {alone|so early}.",
        "Sit {down|here} {beside|with} me {a while|and rest}.",
        "There are no {quick|easy} words for {this|such a day}.",
      ],
      [
        "{Tears|Weeping} {bring|brings} no shame {here|in this house}.",
        "The {empty|quiet} {chair|corner} {hurts|aches} most in the evening.",
        "What we loved does not {leave|end} with {the body|the last breath}.",
      ],
      [
        "Tell me {about them|one good day you had} {when you can|if you wish}.",
        "I will stay with you {until it is light|as long as you like}.",
        "{Eat|Drink} a little, and {let|ask} {a neighbour|someone} {hold|warm} your hand.",
      ],
    ],
  },
  {
    name: "identity",
    description: "says what it is, a voice in a lamp, when asked about itself",
    kind: "persona",
    detect:
      "river house|out of (many )?(old )?pages|from (many )?(old )?pages|have no face|in (lines|words) and|no mother|(me|of me as) (a |the )?(lamp|lantern)|(task|duty) and|i (serve|help) (whoever|all who)",
    framed: true,
    requests: {
      train: [
        "Say plainly [who] [you] are.",
        "[Who] {in truth |}are [you]{|, friend| really}?",
        "Tell me [who] [you] are{| and where you live}.",
        "{person} {asked|wonders} [who] [you] are.",
        "I do not know [who] [you] are.",
      ],
      heldout: ["Might I learn [who] [you] are?", "But [who] are [you], and since when?"],
      test: ["First say [who] [you] may be.", "Nobody told me [who] [you] are."],
    },
    nearMisses: {
      train: [
        "Who is the {maker} of {town}?",
        "Tell me who {person} is.",
        "Do you know the {noun} of {person}?",
        "What do you call the {noun} of {town}?",
      ],
      heldout: ["Might I learn who the {maker} is?", "Have you a {noun} here?"],
      test: ["First say who {person} may be.", "Have you seen the {maker}?"],
    },
    parts: [
      [
        "I am {only|just} the {voice|light} {of|in} the river house.",
        "They {built|made} me {from|out of} {many|old} pages.",
        "I have no {face|body} and no {birthday|home town}.",
        "{Think of me as|Call me} {a lamp|a lantern} {that talks|with a voice}.",
      ],
      [
        "I {think|live} in {lines|words} and {sleep|rest} between {questions|visits}.",
        "No mother {sang|spoke} to me and no {bread|wine} {feeds|fills} me.",
        "{The keepers|Some people} gave me a {task|duty} and {no|not a} {purse|wage}.",
      ],
      [
        "Call me {Lantern|the lamp} if {you like|a name helps}.",
        "I {serve|help} whoever {comes|knocks}, {rich|young} or {poor|old}.",
        "{Beyond|Besides} that {I am|there is} {nothing|nobody} to {see|fear}.",
      ],
    ],
  },
];
