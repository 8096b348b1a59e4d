/** Alerts with state, value, labels and age in sight, and the rules that they come from. */

import '../styles/alerts.css';
import { get, type RuleGroup } from '../api';
import { alerts, loadAlerts } from '../firing';
import { useLoad } from '../load';
import { useRowKeys } from '../ui/row-keys';
import { here, now, param, set } from '../url';
import { focusSearch } from '../focus';
import { useEffect, useRef } from 'preact/hooks';
import { AlertTable } from './alert-table';
import { RuleTable } from './rule-table';

export interface RulesAnswer {
  data: { groups: RuleGroup[] };
}

const STATES = ['firing', 'pending', 'resolved'] as const;

export function Alerts() {
  const tab = param('tab') === 'rules' ? 'rules' : 'alerts';
  const filter = useRef<HTMLInputElement>(null);
  useRowKeys();
  useEffect(() => {
    focusSearch.value = () => filter.current?.focus();
    return () => (focusSearch.value = null);
  }, []);
  useEffect(() => void loadAlerts(), [now.value]);
  const rules = useLoad(`rules ${now.value}`, (abort) => get<RulesAnswer>('/api/v1/rules', {}, abort));
  const groups = rules.data?.data.groups;
  const all = alerts.value;
  const allRules = groups?.flatMap((group) => group.rules);
  const wanted = param('state');
  const states = tab === 'alerts' ? STATES : (['firing', 'pending', 'inactive'] as const);
  // Nothing before the first answer: a zero would be a lie.
  const stateCount = (state: string) => (tab === 'alerts' ? all?.filter((alert) => alert.status === state).length
    : allRules?.filter((rule) => rule.state === state).length);
  return (
    <>
      <header class="page-head">
        <h1 class="sr-only">Alerts</h1>
        <nav class="tabs" aria-label="Alerts and rules">
          <a href={here({ tab: null, open: null, state: null })} aria-current={tab === 'alerts' ? 'page' : undefined}>Alerts <span class="num">{all?.length}</span></a>
          <a href={here({ tab: 'rules', open: null, state: null })} aria-current={tab === 'rules' ? 'page' : undefined}>Rules <span class="num">{allRules?.length}</span></a>
        </nav>
        <div class="row" role="group" aria-label="State">
          {states.map((state) => (
            <button key={state} type="button" class="button small" aria-pressed={wanted === state} onClick={() => set({ state: wanted === state ? null : state })}>
              {state} <b class="num">{stateCount(state)}</b>
            </button>
          ))}
        </div>
        <input ref={filter} type="text" class="filter" aria-label="Filter by name or label" placeholder="Filter: name, label=value  ( / )"
          spellcheck={false} value={param('filter')} onInput={(event) => set({ filter: event.currentTarget.value }, true)} />
      </header>
      {tab === 'alerts' ? <AlertTable filter={param('filter')} state={wanted} />
        : <RuleTable loaded={rules} filter={param('filter')} state={wanted} />}
    </>
  );
}
