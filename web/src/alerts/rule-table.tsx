/** Rules by group. State (is the condition true?) and health (can it be evaluated?) are two things. */

import { type Rule, type RuleGroup, toNumber } from '../api';
import type { Loaded } from '../load';
import { millis, short } from '../format';
import { durationText, roughDuration } from '../time';
import { ErrorNote } from '../ui/error-note';
import { State } from '../ui/state';
import { href, now, param, set } from '../url';
import { LabelChips } from './alert-table';
import type { RulesAnswer } from './alerts';
import { matchesFilter } from './filter';
import { RuleChart } from './rule-chart';

export function RuleTable({ loaded, filter, state }: { loaded: Loaded<RulesAnswer>; filter: string; state: string }) {
  if (loaded.error) return <ErrorNote error={loaded.error} />;
  if (!loaded.data) return null;
  const groups = loaded.data.data.groups.map((group) => ({
    ...group,
    rules: group.rules.filter((rule) => (!state || rule.state === state) && matchesFilter(filter, rule.name, rule.labels ?? {})),
  })).filter((group) => group.rules.length);
  if (!groups.length) return loaded.data.data.groups.length ? <p class="panel empty roomy">No rule meets the filter.</p> : <NoRules />;
  return <>{groups.map((group) => <Group key={`${group.file} ${group.name}`} group={group} />)}</>;
}

function Group({ group }: { group: RuleGroup }) {
  return (
    <section class="panel table-panel">
      <header class="group-head">
        <h2>{group.name}</h2>
        <span class="muted">{group.file} · every {durationText(group.interval * 1000)} · took {millis(group.evaluationTime * 1000)} · {ago(group.lastEvaluation)}</span>
      </header>
      <table class="cards rules">
        <thead><tr><th>State</th><th>Health</th><th>Rule</th><th>Labels</th><th class="num">Value</th><th class="num">For</th><th class="num">Alerts</th></tr></thead>
        <tbody>{group.rules.map((rule, at) => <RuleRow key={`${rule.name} ${at}`} rule={rule} id={`${group.name}/${rule.name}/${at}`} />)}</tbody>
      </table>
    </section>
  );
}

function ago(time: string): string {
  const at = Date.parse(time);
  return at > 0 ? `last ${roughDuration(now.value - at)} ago` : 'not evaluated yet';
}

function RuleRow({ rule, id }: { rule: Rule; id: string }) {
  const open = param('open') === id;
  // A recording rule has no condition, so it is in no state and fires nothing.
  const records = rule.type === 'recording';
  const { query, operator, threshold } = records ? { query: rule.query, operator: '', threshold: NaN } : split(rule.query);
  // Of `a > 1 and b > 3` the last limit is not that of the value.
  const limit = isJoined(query) ? '' : operator;
  const value = valueOf(rule, limit, threshold);
  return (
    <>
      <tr class={open ? 'open' : undefined}>
        <td><State state={records ? 'recording' : rule.state ?? 'unknown'} /></td>
        <td><State state={rule.health} /></td>
        <td class="main-cell">
          <button type="button" class="row-name" data-row aria-expanded={open} onClick={() => set({ open: open ? null : id }, true)}>{rule.name}</button>
          <code>{rule.query}</code>
          {rule.lastError && <span class="problem">{rule.lastError}</span>}
        </td>
        <td><LabelChips labels={rule.labels ?? {}} /></td>
        <td class="num" title={value === null ? 'no single value' : String(value)}>
          {value === null ? '–' : <b>{short(value)}</b>}{limit && <> <span class="muted">{limit} {short(threshold)}</span></>}
        </td>
        <td class="num">{records ? '–' : rule.duration ? durationText(rule.duration * 1000) : 'at once'}</td>
        <td class="num">{records ? '–' : rule.alerts?.length ?? 0}</td>
      </tr>
      {open && (
        <tr class="detail">
          <td colSpan={7}>
            <dl class="facts">
              <dt>Evaluated</dt><dd>{ago(rule.lastEvaluation)}, took {millis(rule.evaluationTime * 1000)}</dd>
              {Object.entries(rule.annotations ?? {}).map(([name, text]) => <><dt>{name}</dt><dd>{text}</dd></>)}
            </dl>
            <RuleChart name={rule.name} query={query} threshold={threshold} />
            <p class="row"><a class="button small" href={href('/explore', { q: query })}>Explore the query</a></p>
          </td>
        </tr>
      )}
    </>
  );
}

/** A condition `query > 10` in its parts; one without a limit at its end is drawn as it is. */
function split(condition: string): { query: string; operator: string; threshold: number } {
  const found = /^(.*\S)\s*(>=|<=|==|!=|>|<)\s*(-?[\d.]+(?:e[+-]?\d+)?)$/s.exec(condition);
  return found ? { query: found[1]!, operator: found[2]!, threshold: Number(found[3]) } : { query: condition, operator: '', threshold: NaN };
}

/** Whether a query consists of several by `and`, `or` or `unless`. */
function isJoined(query: string): boolean {
  let outside = query.replace(/"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`/g, ' ');
  // From the innermost brackets outwards.
  for (let inside = ''; inside !== outside; ) {
    inside = outside;
    outside = inside.replace(/[([{][^()[\]{}]*[)\]}]/g, ' ');
  }
  return /\b(?:and|or|unless)\b/i.test(outside);
}

/** How a rule stands: of its alerts the value that is furthest from the limit, else what its newest evaluation gave. */
function valueOf(rule: Rule, operator: string, threshold: number): number | null {
  const values = (rule.alerts ?? []).map((alert) => toNumber(alert.value)).filter((value) => !Number.isNaN(value));
  if (!values.length) return rule.newestValue === undefined ? null : toNumber(rule.newestValue);
  const distance = (value: number) => (operator.startsWith('<') ? -value : operator === '!=' ? Math.abs(value - threshold) : value);
  return values.reduce((far, value) => (distance(value) > distance(far) ? value : far));
}

const EXAMPLE = `{"name": "HighErrorRate", "query": "sum error_count over 1m by service", "operator": ">", "threshold": 10, "duration": "1m"}`;

function NoRules() {
  return (
    <section class="panel empty roomy column">
      <p>No rules are loaded. Put this into <code>alert_rules.json</code> beside the server and start it again:</p>
      <pre class="mono">{EXAMPLE}</pre>
    </section>
  );
}
