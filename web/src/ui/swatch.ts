/** Marks of lines beside their names: their colour, and the dashes of their query. */

/** Colours that there are before they repeat. */
export const COLORS = 8;
/** Dashes of the lines of each query, pixels; those of the first are whole. */
export const DASHES: readonly (readonly number[])[] = [[], [7, 3], [2, 3], [10, 3, 2, 3]];
/** The same on the few pixels of a mark: as stops along it. */
const STOPS = ['', 'C 0 4px, #0000 4px 6px', 'C 0 2px, #0000 2px 4px', 'C 0 5px, #0000 5px 7px, C 7px 8px'];

/** The ground of a mark. */
export function swatch(color: number, dash = 0): string {
  const token = `var(--series-${color % COLORS})`;
  const stops = STOPS[dash];
  return stops ? `repeating-linear-gradient(90deg, ${stops.replaceAll('C', token)})` : token;
}
