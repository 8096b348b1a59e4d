/**
 * Which series of the chart are hidden, in the URL. Names are long and many, so they stand as short hashes: of those
 * that are hidden (`hide`), or of those that are shown (`only`), whichever are fewer.
 */

import { list, set } from '../url';

/** FNV-1a, in 32 bits. Of hundreds of names two are alike once in ten thousand times, and are then hidden together. */
function hash(name: string): string {
  let state = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) state = Math.imul(state ^ byte, 0x01000193);
  return (state >>> 0).toString(36);
}

/** Of these names the hidden ones. A link whose series are gone hides nothing. */
export function hiddenOf(names: string[]): ReadonlySet<string> {
  const only = new Set(list('only'));
  const hide = new Set(list('hide'));
  const shown = names.filter((name) => (only.size ? only.has(hash(name)) : !hide.has(hash(name))));
  if (only.size && !shown.length) return new Set();
  const kept = new Set(shown);
  return new Set(names.filter((name) => !kept.has(name)));
}

/** Hides these of the names; a step that "back" does not undo. */
export function hideOf(names: string[], hidden: ReadonlySet<string>): void {
  const shown = names.filter((name) => !hidden.has(name));
  const few = shown.length && shown.length < hidden.size;
  set({ only: few ? shown.map(hash) : null, hide: few ? null : [...hidden].map(hash) }, true);
}

/** Parameters that are of no use once the queries are others. */
export const NOTHING_HIDDEN = { only: null, hide: null };
