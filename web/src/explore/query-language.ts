/** The short form and PromQL, as the editor colours, completes and checks them. */

import { type ApiError, get } from '../api';
import { plural } from '../format';
import { asApiError } from '../load';
import type { Language, Suggestion, Suggestions, Token } from '../ui/code-editor';
import { loadMetrics } from './metrics';

const SHORT: [string, string][] = [
  ['rate', 'per second: rate M over 1m'], ['sum', 'sum M over 5m by label'], ['avg', 'average'], ['min', 'smallest'], ['max', 'largest'],
  ['count', 'how many'], ['p50', 'median'], ['p90', '90th percentile'], ['p95', '95th percentile'], ['p99', '99th percentile'],
];
const AGGREGATIONS = 'sum avg min max count group stddev stdvar topk bottomk quantile count_values'.split(' ');
const FUNCTIONS: [string, string][] = [
  ['rate', 'per second, over a window'], ['irate', 'per second, of the last two samples'], ['increase', 'growth over a window'], ['delta', 'difference over a window'],
  ['idelta', 'difference of the last two samples'], ['deriv', 'slope by linear regression'], ['predict_linear', 'value in so many seconds'],
  ['histogram_quantile', 'quantile of a classic histogram'], ['avg_over_time', ''], ['min_over_time', ''], ['max_over_time', ''], ['sum_over_time', ''],
  ['count_over_time', ''], ['quantile_over_time', ''], ['stddev_over_time', ''], ['last_over_time', ''], ['present_over_time', ''], ['changes', 'how often it changed'],
  ['resets', 'counter resets'], ['absent', '1 if there is nothing'], ['absent_over_time', ''], ['abs', ''], ['ceil', ''], ['floor', ''], ['round', ''], ['clamp', ''],
  ['clamp_min', ''], ['clamp_max', ''], ['exp', ''], ['ln', ''], ['log2', ''], ['log10', ''], ['sqrt', ''], ['sgn', ''], ['label_replace', ''], ['label_join', ''],
  ['scalar', ''], ['vector', ''], ['sort', ''], ['sort_desc', ''], ['time', ''], ['timestamp', ''],
];
const WORDS = ['by', 'without', 'over', 'offset', 'anchored', 'smoothed', 'bool', 'on', 'ignoring', 'group_left', 'group_right', 'and', 'or', 'unless'];
const WINDOWS = ['1m', '5m', '15m', '1h', '1d'];
const CALLS = new Set([...AGGREGATIONS, ...FUNCTIONS.map(([name]) => name)]);
const SHORT_NAMES = new Set(SHORT.map(([name]) => name));

const PARTS = /("(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?)|(\b\d+(?:\.\d+)?(?:ms|[smhdwy])?(?:\d+[smhdwy])*\b)|([a-zA-Z_:][\w:.]*)|([{}()[\],=~!<>+\-*/%^@]+)/g;
/** Values of a label that are offered, at most. */
const VALUES_MAX = 200;

function tokens(text: string): Token[] {
  const found: Token[] = [];
  for (const match of text.matchAll(PARTS)) {
    const [whole, quoted, number, name] = match;
    const kind = quoted !== undefined ? 'text' : number !== undefined ? 'number' : name === undefined ? 'sign'
      : CALLS.has(name) || WORDS.includes(name) || SHORT_NAMES.has(name) || /^p\d/.test(name) ? 'word' : 'name';
    found.push([match.index, match.index + whole.length, kind]);
  }
  return found;
}

/** The metric that the labels at the cursor belong to; the last one named before. */
function metricBefore(before: string, names: Set<string>): string | undefined {
  return before.match(/[a-zA-Z_:][\w:]*/g)?.findLast((word) => names.has(word));
}

async function suggest(text: string, at: number, asked: boolean): Promise<Suggestions | null> {
  const before = text.slice(0, at);
  const list = await loadMetrics().catch(() => []);
  const byName = new Map(list.map((metric) => [metric.name, metric]));
  const metric = metricBefore(before, new Set(byName.keys()));
  const isShort = /^\s*(sum|avg|min|max|count|rate|p[\d.]+)\s+[a-zA-Z_:]/.test(text);

  const value = /([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)\s*("?)([^",{}\s]*)$/.exec(before);
  if (value && (isShort || before.lastIndexOf('{') > before.lastIndexOf('}'))) {
    return { from: at - value[3]!.length - value[2]!.length, options: await labelValues(metric, value[1]!, isShort) };
  }
  const window = /(?:\[|\bover\s+)(\w*)$/.exec(before);
  if (window) return { from: at - window[1]!.length, options: WINDOWS.map((label, place) => ({ label, boost: -place })) };

  const word = /[a-zA-Z_:][\w:.]*$/.exec(before)?.[0] ?? '';
  const start = at - word.length;
  const insideLabels = before.lastIndexOf('{') > before.lastIndexOf('}') || /\b(by|without|on|ignoring)\s*\(?[\w\s,]*$/.test(before.slice(0, start));
  if (!word && !asked && !insideLabels) return null;
  const labels = (metric ? byName.get(metric)!.labels : [...new Set(list.flatMap((one) => one.labels))].sort());
  if (insideLabels) return { from: start, options: labels.map((label) => ({ label, detail: 'label' })) };
  const options: Suggestion[] = [];
  const first = before.slice(0, start).trim() === '';
  if (isShort && metric && !first) {
    options.push(...labels.map((label) => ({ label, detail: 'label', apply: `${label}=` })), { label: 'over', detail: 'window' }, { label: 'by', detail: 'split' });
    return { from: start, options };
  }
  const expectsMetric = /^\s*(sum|avg|min|max|count|rate|p[\d.]+)\s+$/.test(before.slice(0, start));
  for (const one of list) options.push({ label: one.name, detail: `${one.type} · ${plural(one.series, 'series', 'series')}`, info: one.help || undefined, boost: 1 });
  if (expectsMetric) return { from: start, options };
  if (first) for (const [label, detail] of SHORT) options.push({ label, detail: `short form · ${detail}`, apply: `${label} `, boost: 3 });
  for (const label of AGGREGATIONS) options.push({ label: `${label}()`, detail: 'aggregation', apply: `${label}(` });
  for (const [label, detail] of FUNCTIONS) options.push({ label: `${label}()`, detail: detail || 'function', apply: `${label}(` });
  for (const label of WORDS) options.push({ label, detail: 'word', boost: -20 });
  return { from: start, options };
}

async function labelValues(metric: string | undefined, label: string, isShort: boolean): Promise<Suggestion[]> {
  if (!metric) return [];
  try {
    const query = `count by (${label}) (${metric})`;
    const short = `count ${metric} by ${label}`;
    // Distributions are asked for in the short form only.
    const answer = await get<{ result: { labels: Record<string, string> }[] }>('/api/v1/metrics/query', { query: short })
      .catch(() => get<{ result: { labels: Record<string, string> }[] }>('/api/v1/metrics/query', { query }));
    const values = answer.result.map((one) => one.labels[label] ?? '').filter(Boolean).sort();
    return values.slice(0, VALUES_MAX).map((value) => ({ label: value, detail: label, apply: isShort && /^[\w.-]+$/.test(value) ? value : JSON.stringify(value) }));
  } catch {
    return [];
  }
}

async function check(text: string): Promise<ApiError | null> {
  try {
    // Long before any sample: only the text is read.
    await get('/api/v1/metrics/query', { query: text, time: 1000 });
    return null;
  } catch (error) {
    return asApiError(error);
  }
}

export const queryLanguage: Language = { tokens, suggest, check };
