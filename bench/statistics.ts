/** Of the samples that a figure is made of. */

/** The means of every `of` samples in a row: their clock is coarse. */
export function means(samples: readonly number[], of: number): number[] {
  return Array.from({ length: samples.length / of }, (_, n) => {
    const part = samples.slice(n * of, (n + 1) * of);
    return part.reduce((sum, sample) => sum + sample, 0) / of;
  });
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

function quantile(samples: readonly number[], part: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * part;
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  const above = sorted[Math.ceil(at)] ?? Number.NaN;
  return below + (above - below) * (at - Math.floor(at));
}

/**
 * The ratio of two contestants: the median of the ratios of each round, in which they ran one after the other, and their quartiles in
 * brackets. So a minute in which the machine is busy concerns both.
 */
export function ratio(samples: readonly number[], to: readonly number[]): string {
  const ratios = samples.map((sample, round) => sample / (to[round] ?? Number.NaN));
  const [low, middle, high] = [0.25, 0.5, 0.75].map((part) => digits(quantile(ratios, part)));
  return samples.length < 4 ? `${middle}` : `${middle} (${low} to ${high})`;
}

/** Three digits that count. */
export function digits(n: number): string {
  if (n >= 1_000) return Math.round(n).toLocaleString("en");
  return n.toFixed(n >= 100 ? 0 : n >= 10 ? 1 : 2);
}

/**
 * The contestants in the order of this turn. Each in turn is first, so that none always comes
 * after the same one.
 */
export function rotated<T>(list: readonly T[], turn: number): T[] {
  const at = turn % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}
