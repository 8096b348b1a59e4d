/** A record: one line in the list, and all of it when it is open. */

import { useState } from 'preact/hooks';
import type { LogRecord } from '../api';
import { bytes, plural } from '../format';
import { Icon } from '../icons';
import { levelColor } from '../levels';
import { clock, localDateTime } from '../time';
import { copy } from '../ui/toast';
import { here, href, param, set } from '../url';
import { Context } from './context';
import { include, query } from './filters';
import { term, withTerm } from './terms';
import { CUT_AT, flatten, oneLine, visible } from './text';

/** Fields that a line of the list shows already, or that mean nothing to people. */
const OWN = ['message', 'tags', 'fields', 'error_details', 'performance_metrics'];
/** Fields that are shown behind the message in the list, and characters of each. */
const PREVIEWED = 8;
const PREVIEW_CHARS = 40;
/** Fields shown before "show all". */
const FIELDS_SHOWN = 60;
/** Length of a field's value, characters, before "show all". */
const VALUE_SHOWN = 2000;

interface RowProps {
  record: LogRecord;
  index: number;
  open: boolean;
  selected: boolean;
  /** Whether times need their day. */
  days: boolean;
  onToggle: () => void;
}

export function Row({ record, index, open, selected, days, onToggle }: RowProps) {
  const at = Date.parse(record.timestamp);
  const message = oneLine(record.message);
  const click = () => {
    // Marking text with the mouse is not a click.
    if (!window.getSelection()?.toString()) onToggle();
  };
  return (
    <div class={`log-row${open ? ' open' : ''}${selected ? ' selected' : ''}`} data-level={record.level} onClick={click}>
      <button type="button" class="opener" data-index={index} aria-expanded={open} aria-label={`${record.level}, ${record.service ?? ''}: ${message.slice(0, 80)}`}
        onClick={(event) => {
          event.stopPropagation();
          onToggle();
        }}><Icon name="chevron" /></button>
      <time title={`${localDateTime(at, true)}\n${record.timestamp}`}>{days ? localDateTime(at, true).slice(5) : clock(at, true)}</time>
      <span class="level" style={{ '--level': levelColor(record.level) }}>{record.level}</span>
      <bdi class="service">{visible(record.service ?? '')}</bdi>
      <bdi class="message">{message}<span class="muted">{preview(record.fields)}</span></bdi>
    </div>
  );
}

/** The first plain fields, behind the message. */
function preview(fields: Record<string, unknown> = {}): string {
  const plain = Object.entries(fields).slice(0, PREVIEWED).filter(([, value]) => value !== null && typeof value !== 'object');
  return plain.map(([name, value]) => visible(`  ${name}=${String(value).slice(0, PREVIEW_CHARS)}`)).join('');
}

/** Shows what is around a record, or no longer: its id stands in the URL, as what is open does. */
export function toggleContext(id: string): void {
  const shown = param('context') === id;
  set({ context: shown ? null : id, scope: null, around: null, ...(shown ? {} : { open: id }) }, true);
}

export function Detail({ record }: { record: LogRecord }) {
  const correlation = typeof record.correlation_id === 'string' ? record.correlation_id : '';
  const showsContext = param('context') === record.id;
  const link = () => {
    const at = Date.parse(record.timestamp);
    const path = here({ open: record.id, live: null, from: String(at - 300_000), to: String(at + 300_000) });
    void copy(window.location.origin + path, 'Link');
  };
  return (
    <div class="log-detail">
      <div class="row">
        <button type="button" class="button small" onClick={() => void copy(record.message, 'Message')}><Icon name="copy" /> Message</button>
        <button type="button" class="button small" onClick={() => void copy(JSON.stringify(record, null, 2), 'Record')}><Icon name="copy" /> JSON</button>
        <button type="button" class="button small" onClick={link}><Icon name="link" /> Link</button>
        <button type="button" class="button small" aria-pressed={showsContext} onClick={() => toggleContext(record.id)}>Context</button>
        {correlation && <a class="button small" href={here({ q: term('correlation_id', correlation), level: null, service: null, source: null, host: null, live: null })}>Same correlation</a>}
        {record.service && <a class="button small metrics-link" href={href('/explore', { q: `rate log_events_total service=${quoted(record.service)} by level over 1m` })}><span>Metrics of <bdi>{visible(record.service)}</bdi></span></a>}
      </div>
      <Message text={record.message} />
      <Fields record={record} />
      {showsContext && <Context record={record} />}
    </div>
  );
}

function quoted(value: string): string {
  return /^[\w.-]+$/.test(value) ? value : JSON.stringify(value);
}

/** A message as it was written; a long one is cut until somebody asks. */
function Message({ text }: { text: string }) {
  const [all, setAll] = useState(false);
  const cut = !all && text.length > CUT_AT;
  const shown = cut ? text.slice(0, CUT_AT) : text;
  return (
    <div class="message-box">
      <pre class="message-text">{blocks(shown).map((block, at) => <bdi key={at}>{block}</bdi>)}</pre>
      {cut && <button type="button" class="button small" onClick={() => setAll(true)}>Show all {bytes(text.length)}</button>}
    </div>
  );
}

/** Blocks that the browser lays out when they come into sight; a megabyte in one would hold the page up. */
const BLOCK = 8 * 1024;

function blocks(text: string): string[] {
  const made: string[] = [];
  for (let from = 0; from < text.length; ) {
    let to = Math.min(text.length, from + BLOCK);
    // Not between the halves of a character.
    if (to < text.length && /[\ud800-\udbff]/.test(text[to - 1]!)) to += 1;
    made.push(visible(text.slice(from, to)));
    from = to;
  }
  return made;
}

function Fields({ record }: { record: LogRecord }) {
  const [all, setAll] = useState(false);
  const own = Object.fromEntries(Object.entries(record).filter(([name]) => !OWN.includes(name)));
  const nested = (name: string) => flatten((record[name] as Record<string, unknown> | undefined) ?? {}, `${name}.`);
  const fields = [...flatten(own), ...nested('tags'), ...nested('fields'), ...nested('error_details'), ...nested('performance_metrics')]
    .filter(([name, value]) => value !== '{}' || !OWN.includes(name));
  const shown = all ? fields : fields.slice(0, FIELDS_SHOWN);
  return (
    <>
      <table class="fields">
        <tbody>{shown.map(([name, value]) => <FieldRow key={name} name={name} value={value} />)}</tbody>
      </table>
      {fields.length > shown.length && <button type="button" class="button small" onClick={() => setAll(true)}>Show all {plural(fields.length, 'field')}</button>}
    </>
  );
}

function FieldRow({ name, value }: { name: string; value: string }) {
  const [all, setAll] = useState(false);
  const cut = !all && value.length > VALUE_SHOWN;
  const filter = (without: boolean) => {
    if (without) set({ q: withTerm(query.value, `-${term(name, value)}`) });
    else include(name, value);
  };
  const short = visible(name.replace(/^fields\./, ''));
  return (
    <tr>
      <th scope="row"><bdi>{short}</bdi></th>
      <td class="acts">
        <button type="button" class="mini" aria-label={`Only ${short} of this value`} title="Only these" onClick={() => filter(false)}><Icon name="plus" /></button>
        <button type="button" class="mini" aria-label={`Without ${short} of this value`} title="Without these" onClick={() => filter(true)}><Icon name="minus" /></button>
        <button type="button" class="mini" aria-label={`Copy ${short}`} title="Copy" onClick={() => void copy(value, 'Value')}><Icon name="copy" /></button>
      </td>
      <td>
        <bdi class="value">{visible(cut ? value.slice(0, VALUE_SHOWN) : value)}</bdi>
        {cut && <button type="button" class="button small" onClick={() => setAll(true)}>Show all {bytes(value.length)}</button>}
      </td>
    </tr>
  );
}
