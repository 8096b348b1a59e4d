/** Light, dark, or what the system says. Kept in a cookie, so that the server can send the page in its colours. */

import { signal } from '@preact/signals';

export type Theme = '' | 'light' | 'dark';

export const theme = signal<Theme>((document.documentElement.dataset.theme as Theme | undefined) ?? '');

const system = window.matchMedia('(prefers-color-scheme: dark)');
/** Changes when colours do; canvases are drawn again then. */
export const isDark = signal(dark());
system.addEventListener('change', () => {
  isDark.value = dark();
});

function dark(): boolean {
  return theme.value ? theme.value === 'dark' : system.matches;
}

export function setTheme(chosen: Theme): void {
  theme.value = chosen;
  document.documentElement.dataset.theme = chosen;
  const age = chosen ? 31_536_000 : 0;
  document.cookie = `watchfire_theme=${chosen}; path=/; max-age=${age}; samesite=strict`;
  isDark.value = dark();
}

/** System → light → dark → system. */
export function nextTheme(): void {
  setTheme(theme.value === '' ? 'light' : theme.value === 'light' ? 'dark' : '');
}

/** Shows a token's colour, so that it can be read: what a custom property itself holds is both colours. */
const probe = document.createElement('span');
probe.hidden = true;

/** A token's colour as canvases want it. */
export function token(name: string): string {
  if (!probe.isConnected) document.body.append(probe);
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
}
