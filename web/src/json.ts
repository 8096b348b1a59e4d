/** JSON whose whole numbers stay as they were written, also those that a number of the browser cannot hold. */

/** What newer browsers know beside the language that the compiler is set to. */
interface Raw {
  rawJSON?: (text: string) => object;
  isRawJSON?: (value: unknown) => boolean;
}

const raw = JSON as unknown as Raw;

/** A whole number of more digits than are safe; to look for one costs less than to revive all values. */
const LONG = /(?<![\d.])\d{16,}(?![\d.eE])/;

export function parseJson(text: string): unknown {
  if (!raw.rawJSON || !LONG.test(text)) return JSON.parse(text);
  const revive = (_: string, value: unknown, context?: { source?: string }) =>
    Number.isInteger(value) && !Number.isSafeInteger(value) && context?.source ? raw.rawJSON?.(context.source) : value;
  return JSON.parse(text, revive);
}

/** Whether a value of {@link parseJson} is a whole number that is kept as a text. */
export function isLongNumber(value: unknown): boolean {
  return raw.isRawJSON?.(value) ?? false;
}
