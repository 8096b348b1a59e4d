/** A word on what was just done, for a moment. */

import { signal } from '@preact/signals';

const SHOWN_MS = 2500;
const text = signal('');
let timer: number | undefined;

export function toast(message: string): void {
  text.value = message;
  window.clearTimeout(timer);
  timer = window.setTimeout(() => (text.value = ''), SHOWN_MS);
}

export function Toast() {
  return <div class="toast" role="status" data-shown={text.value ? '' : undefined}>{text.value}</div>;
}

/** Puts a text on the clipboard; over plain HTTP to a foreign host browsers only know the old way. */
export async function copy(value: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(value);
  } catch {
    const area = document.createElement('textarea');
    area.value = value;
    area.className = 'sr-only';
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  toast(`${what} copied`);
}
