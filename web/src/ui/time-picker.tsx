/** The time range of all pages: some lengths to click, or two ends to write. */

import { useState } from 'preact/hooks';
import { Icon } from '../icons';
import { localDateTime, parseDuration, parseTime, rangeText, TIMES, utc } from '../time';
import { from, now, range, rangeProblem, set, to } from '../url';
import { Popover } from './popover';

const LENGTHS = ['5m', '15m', '1h', '3h', '6h', '12h', '1d', '2d', '7d', '30d'];

export function TimePicker() {
  const known = !rangeProblem.value;
  const { start, end } = range.value;
  const text = rangeText(from.value, to.value, known ? range.value : null);
  return (
    <Popover class="range" title={known ? `${utc(start)} – ${utc(end)}` : rangeProblem.value}
      label={<><Icon name="clock" /><span>{text}</span></>} name={`Time range: ${text}`}>
      {(close) => <Panel close={close} />}
    </Popover>
  );
}

function Panel({ close }: { close: () => void }) {
  const [start, setStart] = useState(shown(from.value));
  const [end, setEnd] = useState(shown(to.value));
  const at = [parseTime(start, now.value), parseTime(end, now.value)];
  const problem = at.includes(null) ? `write ${TIMES}`
    : at[0]! > at[1]! ? 'the range ends before it begins' : at[0] === at[1] ? 'the range is empty' : '';
  const apply = (event: Event) => {
    event.preventDefault();
    if (problem) return;
    set({ from: stored(start), to: end.trim() === 'now' ? null : stored(end) });
    close();
  };
  const freeze = () => {
    set({ from: String(range.value.start), to: String(range.value.end) });
    close();
  };
  return (
    <form class="time-panel" onSubmit={apply}>
      <div class="lengths" role="group" aria-label="Up to now">
        {LENGTHS.map((length) => (
          <button type="button" key={length} class="button quiet" aria-pressed={from.value === `now-${length}` && to.value === 'now'}
            aria-label={`last ${length}`}
            onClick={() => {
              set({ from: `now-${length}`, to: null });
              close();
            }}>{length}</button>
        ))}
      </div>
      <label>From<input type="text" value={start} spellcheck={false} autofocus onInput={(event) => setStart(event.currentTarget.value)} /></label>
      <label>To<input type="text" value={end} spellcheck={false} onInput={(event) => setEnd(event.currentTarget.value)} /></label>
      <p class={problem ? 'problem' : 'muted'} role={problem ? 'alert' : undefined}>{problem || 'Your local time: 2h, 15:00, yesterday 14:00, 2026-05-01 12:00; also RFC 3339, now-1h30m.'}</p>
      <div class="row">
        <button type="submit" class="button primary" disabled={problem !== ''}>Apply</button>
        <button type="button" class="button quiet" title="Turn into fixed times, for a link that stays" onClick={freeze}>Freeze</button>
      </div>
    </form>
  );
}

/** Milliseconds of the URL are shown as a date. */
function shown(text: string): string {
  return /^\d{12,14}$/.test(text) ? localDateTime(Number(text)) : text;
}

function stored(text: string): string {
  const trimmed = text.trim();
  // What is so long ago goes on to be; everything else is a moment from now on.
  if (parseDuration(trimmed) !== null) return `now-${trimmed}`;
  return trimmed.startsWith('now') ? trimmed : String(parseTime(trimmed, now.value));
}
