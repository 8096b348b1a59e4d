/** Whether the palette is open, and its code once somebody wanted it. */

import { signal } from '@preact/signals';
import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';

export const paletteIsOpen = signal(false);

/** Ctrl+K or ⌘K opens and closes it, also while somebody writes. */
export function listenForPalette(): void {
  document.addEventListener('keydown', (event) => {
    if (event.key.toLowerCase() !== 'k' || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    paletteIsOpen.value = !paletteIsOpen.peek();
  }, true);
}

export function PaletteHost() {
  const [Palette, setPalette] = useState<ComponentType | null>(null);
  const open = paletteIsOpen.value;
  useEffect(() => {
    if (!open || Palette) return;
    import('./palette').then((module) => setPalette(() => module.Palette), () => (paletteIsOpen.value = false));
  }, [open, Palette]);
  return open && Palette ? <Palette /> : null;
}
