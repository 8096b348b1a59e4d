/** Everything by its name: pages, saved views, metrics, rules, alerts, keys; and what is written, as a search or a query. */

import { signal } from '@preact/signals';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { get, type RuleGroup } from '../api';
import { nameOf } from '../alerts/name';
import { firstQuery, loadMetrics, metrics } from '../explore/metrics';
import { alerts } from '../firing';
import { Icon, type IconName } from '../icons';
import { shortcuts } from '../keys';
import { PAGES } from '../pages';
import { linkOf, loadSaved, saved } from '../saved';
import { go, href } from '../url';
import { paletteIsOpen } from './palette-state';
import { best } from './palette-match';

/** Entries that are listed at once. */
const LISTED = 60;

interface Entry {
  kind: string;
  icon: IconName;
  name: string;
  /** What else it is found by. */
  note?: string;
  run: () => void;
}

const rules = signal<RuleGroup[]>([]);

/** Asks for what the page does not know yet; a list that cannot be had is a shorter palette. */
function gather(): void {
  void loadMetrics().catch(() => undefined);
  void loadSaved().catch(() => undefined);
  void get<{ data: { groups: RuleGroup[] } }>('/api/v1/rules').then((answer) => (rules.value = answer.data.groups), () => undefined);
}

function entries(): Entry[] {
  const to = (link: string) => () => go(link);
  return [
    ...PAGES.map((page): Entry => ({ kind: 'page', icon: page.icon, name: page.title, run: to(href(page.path)) })),
    ...(saved.value ?? []).map((view): Entry => ({ kind: 'view', icon: 'star', name: view.name, note: view.query ?? view.q, run: to(linkOf(view)) })),
    ...(alerts.value ?? []).filter((alert) => alert.status !== 'resolved').map((alert): Entry => ({
      kind: alert.status, icon: 'alert', name: nameOf(alert), note: Object.values(alert.labels).join(' '), run: to(href('/alerts', { open: alert.fingerprint })),
    })),
    ...rules.value.flatMap((group) => group.rules).map((rule): Entry => ({
      kind: 'rule', icon: 'alert', name: rule.name, note: rule.query, run: to(href('/alerts', { tab: 'rules', filter: rule.name })),
    })),
    ...metrics.value.map((metric): Entry => ({
      kind: metric.type || 'metric', icon: 'explore', name: metric.name, note: metric.help, run: to(href('/explore', { q: firstQuery(metric) })),
    })),
    ...shortcuts().filter((one) => !one.keys.startsWith('g ')).map((one): Entry => ({ kind: `key ${one.keys}`, icon: 'help', name: one.does, run: one.run })),
  ];
}

/** What is written may itself be asked. */
function asked(text: string): Entry[] {
  return [
    { kind: 'search', icon: 'logs', name: `Search logs for ${text}`, run: () => go(href('/logs', { q: text })) },
    { kind: 'query', icon: 'explore', name: `Query ${text}`, run: () => go(href('/explore', { q: text })) },
  ];
}

export function Palette() {
  const dialog = useRef<HTMLDialogElement>(null);
  const [written, setWritten] = useState('');
  const [chosen, setChosen] = useState(0);
  // Before anybody sees it: what is typed at once is for it.
  useLayoutEffect(() => {
    dialog.current?.showModal();
    gather();
  }, []);
  const close = () => (paletteIsOpen.value = false);
  const text = written.trim();
  const found = best(entries(), text, LISTED);
  const listed = text ? [...found, ...asked(text)] : found;
  const at = Math.min(chosen, listed.length - 1);
  const run = (entry: Entry | undefined) => {
    if (!entry) return;
    close();
    entry.run();
  };
  useEffect(() => {
    dialog.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' });
  }, [at]);
  const onKeyDown = (event: KeyboardEvent) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by) setChosen((at + by + listed.length) % listed.length);
    else if (event.key === 'Enter') run(listed[at]);
    else return;
    event.preventDefault();
  };
  return (
    <dialog ref={dialog} class="dialog palette" aria-label="Go to" onClose={close} onClick={(event) => event.target === dialog.current && close()}>
      <input type="text" role="combobox" aria-expanded="true" aria-controls="palette-list" aria-activedescendant={`palette-${at}`} aria-label="Page, view, metric, rule or search"
        placeholder="Page, saved view, metric, rule, or what to search for" spellcheck={false} autofocus value={written} onKeyDown={onKeyDown}
        onInput={(event) => {
          setWritten(event.currentTarget.value);
          setChosen(0);
        }} />
      <ul id="palette-list" role="listbox" aria-label="Found">
        {listed.map((entry, index) => (
          <li key={`${entry.kind} ${entry.name} ${index}`} id={`palette-${index}`} role="option" aria-selected={index === at} onClick={() => run(entry)}>
            <Icon name={entry.icon} /> <span><bdi>{entry.name}</bdi> <span class="muted"><bdi>{entry.note}</bdi></span></span> <span class="muted">{entry.kind}</span>
          </li>
        ))}
      </ul>
    </dialog>
  );
}
