/** Where `/` moves the focus on the page at hand. */

import { signal } from '@preact/signals';

export const focusSearch = signal<(() => void) | null>(null);
