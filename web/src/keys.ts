/** Keys: one table for the page at hand and the shell, off while somebody writes. */

import { signal } from '@preact/signals';
import { useLayoutEffect, useRef } from 'preact/hooks';

export interface Shortcut {
  /** As typed: `j`, `g o`, `?`. */
  keys: string;
  /** What it does, for the list under `?`. */
  does: string;
  run: () => void;
}

/** All that is bound now, the shell's first; each as it was last drawn. */
const bindings = signal<{ current: Shortcut[] }[]>([]);

/** The keys that work now, for the list of them. */
export function shortcuts(): Shortcut[] {
  return bindings.value.flatMap((bound) => bound.current);
}

/** How long after `g` a second key counts. */
const CHORD_MS = 1200;
let chord = '';
let chordAt = 0;

/** Binds keys while the component is there: from the moment that it can be seen, not from the first frame on. */
export function useKeys(bound: Shortcut[]): void {
  const latest = useRef(bound);
  latest.current = bound;
  useLayoutEffect(() => {
    bindings.value = [...bindings.peek(), latest];
    return () => {
      bindings.value = bindings.peek().filter((other) => other !== latest);
    };
  }, []);
}

function writes(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  return !!element?.closest?.('input, textarea, select, [contenteditable="true"], dialog');
}

export function listenToKeys(): void {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || writes(event.target)) return;
    const begun = chord && performance.now() - chordAt < CHORD_MS ? `${chord} ` : '';
    chord = '';
    const all = bindings.peek().flatMap((one) => one.current);
    const typed = begun + event.key;
    // Pages bind later than the shell and win.
    const found = all.findLast((one) => one.keys === typed);
    if (found) {
      event.preventDefault();
      found.run();
    } else if (all.some((one) => one.keys.startsWith(`${event.key} `))) {
      chord = event.key;
      chordAt = performance.now();
    }
  });
}
