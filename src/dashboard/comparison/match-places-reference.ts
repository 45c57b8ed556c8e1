// match-places.ts as it is said: sets of places, every pair of latents compared. For tests.

export function matchPlacesReference(
  a: readonly ReadonlySet<number>[],
  b: readonly ReadonlySet<number>[],
): { partner: number; jaccard: number; shared: number; mutual: boolean }[] {
  const nearestA = a.map((places) => nearest(places, b));
  const nearestB = b.map((places) => nearest(places, a));
  return nearestA.map((found, latent) => ({
    ...found,
    mutual: found.partner >= 0 && nearestB[found.partner].partner === latent,
  }));
}

function nearest(places: ReadonlySet<number>, others: readonly ReadonlySet<number>[]) {
  let best = { partner: -1, jaccard: 0, shared: 0 };
  others.forEach((other, partner) => {
    const shared = [...places].filter((place) => other.has(place)).length;
    const jaccard = shared === 0 ? 0 : shared / (places.size + other.size - shared);
    if (jaccard > best.jaccard) best = { partner, jaccard, shared };
  });
  return best;
}
