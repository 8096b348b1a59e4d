/** Which names a few written letters mean. */

interface Named {
  name: string;
  note?: string;
}

/** How well all words of a text are found in an entry: lower is better, infinite for not at all. */
function distance({ name, note }: Named, words: string[]): number {
  const lower = name.toLowerCase();
  let sum = 0;
  for (const word of words) {
    const place = lower.indexOf(word);
    if (place === 0) sum += 1;
    // A word within the name counts more than letters within a word.
    else if (place > 0) sum += /[a-z0-9]/.test(lower[place - 1]!) ? 4 : 2;
    else if (note?.toLowerCase().includes(word)) sum += 8;
    else return Infinity;
  }
  return sum + lower.length / 1000;
}

/** The entries that hold all words of a text, the closest first; all in their order if there is none. */
export function best<T extends Named>(entries: T[], text: string, most: number): T[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return entries.slice(0, most);
  return entries.map((entry) => ({ entry, far: distance(entry, words) })).filter(({ far }) => far < Infinity)
    .sort((a, b) => a.far - b.far).slice(0, most).map(({ entry }) => entry);
}
