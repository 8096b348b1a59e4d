/** Log text as it may be shown: always as text, and nothing in it may hide, reorder or move what stands around. */

import { isLongNumber } from '../json';

/** Records larger than this are cut until somebody asks for all. */
export const CUT_AT = 32 * 1024;
/** What of a message is looked at for its line in the list. */
const LINE_MAX = 1500;

/** Controls, bidirectional overrides, what has no width, and tags, by which text can be hidden from people alone. */
// eslint-disable-next-line no-control-regex
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/** The text with everything invisible made visible: `␀`, `␛`, `⟨U+202E⟩`. */
export function visible(text: string): string {
  return text.replace(UNSEEN, (sign) => {
    const code = sign.codePointAt(0)!;
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    if (code === 0x7f) return '\u2421';
    return `⟨U+${code.toString(16).toUpperCase().padStart(4, '0')}⟩`;
  });
}

/** The first lines of a message in one, for the list. A return that ends no line could hide what stands before it: it is shown. */
export function oneLine(message: string): string {
  return visible(message.slice(0, LINE_MAX).replace(/(?:\r?\n|\t)+/g, ' '));
}

/** A flat list of names and values; lists and empty objects as JSON. */
export function flatten(object: Record<string, unknown>, prefix = ''): [string, string][] {
  return Object.entries(object).flatMap(([name, value]): [string, string][] => {
    const path = prefix + name;
    if (value === null || value === undefined) return [[path, 'null']];
    if (typeof value === 'object' && !Array.isArray(value) && !isLongNumber(value) && Object.keys(value).length) {
      return flatten(value as Record<string, unknown>, `${path}.`);
    }
    return [[path, typeof value === 'string' ? value : JSON.stringify(value)]];
  });
}
