/** The search language, as the editor colours, completes and checks it. */

import { ApiError, get } from '../api';
import { whole } from '../format';
import { LEVELS } from '../levels';
import { asApiError } from '../load';
import type { Language, Suggestion, Token } from '../ui/code-editor';
import { facets } from './facets';
import { records } from './search';
import { flatten } from './text';
import { term } from './terms';

const PARTS = /("(?:[^"\\]|\\.)*"?)|(\/(?:[^/\\]|\\.)+\/)|\b(AND|OR|NOT|TO)\b|([\w.@\\-]+)(?=:)|(\b\d+(?:\.\d+)?\b)|([-:()[\]<>=*])/g;
const KINDS = ['text', 'text', 'word', 'name', 'number', 'sign'] as const;

/** Names of the record, with what they hold. */
const FIELDS: [string, string][] = [
  ['level', 'trace … fatal; level:>=warn'], ['service', 'who wrote it'], ['source', 'way or file it came from'], ['host', ''],
  ['message', 'words of the text only'], ['correlation_id', ''], ['user_id', ''], ['timestamp', 'timestamp:>now-15m'], ['id', ''],
];
/** Records whose fields are looked at for names. */
const SAMPLES = 50;
const OPTIONS_MAX = 40;

function tokens(text: string): Token[] {
  const found: Token[] = [];
  for (const match of text.matchAll(PARTS)) {
    const kind = KINDS[match.slice(1).findIndex((part) => part !== undefined)]!;
    found.push([match.index, match.index + match[0].length, kind]);
  }
  return found;
}

async function suggest(text: string, at: number, asked: boolean) {
  const before = text.slice(0, at);
  const value = /([\w.@]+):"?([^\s"():]*)$/.exec(before);
  if (value) {
    const options = values(value[1]!);
    return options.length ? { from: at - value[2]!.length - (before.at(-value[2]!.length - 1) === '"' ? 1 : 0), options } : null;
  }
  const word = /[\w.@]*$/.exec(before)![0];
  if (!word && !asked) return null;
  return { from: at - word.length, options: names() };
}

function values(field: string): Suggestion[] {
  if (field === 'level') return LEVELS.map((label, place) => ({ label, boost: -place }));
  const counted = facets.peek()[field] ?? facets.peek()[`fields.${field}`];
  // A field with very many values is only counted.
  if (!Array.isArray(counted)) return [];
  return counted.slice(0, OPTIONS_MAX).map(({ value, count }, place) => ({
    label: value, detail: whole(count), apply: term('', value).slice(1), boost: -place,
  }));
}

function names(): Suggestion[] {
  const known = new Map(FIELDS);
  for (const record of records.peek().slice(0, SAMPLES)) {
    for (const [name] of flatten(record.fields ?? {})) if (!known.has(name)) known.set(name, 'field');
    for (const [name] of flatten(record.tags ?? {}, 'tags.')) if (!known.has(name)) known.set(name, 'tag');
  }
  const fields = Array.from(known, ([label, detail]) => ({ label, detail, apply: `${label}:` }));
  const words = ['AND', 'OR', 'NOT'].map((label) => ({ label, detail: 'operator', boost: -50 }));
  return [...fields, ...words];
}

async function check(text: string): Promise<ApiError | null> {
  try {
    // An empty range: only the text is read.
    await get('/api/v1/logs/search', { q: text, start: 0, end: 0, limit: 0, buckets: 0 });
    return null;
  } catch (error) {
    return asApiError(error);
  }
}

export const searchLanguage: Language = { tokens, suggest, check };
