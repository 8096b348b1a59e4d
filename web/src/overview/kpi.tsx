/** A figure, its past, and how it differs from a day before. */

import type { Unit } from '../format';
import { Sparkline } from '../ui/sparkline';

interface Props {
  name: string;
  href: string;
  value: number | null;
  /** The same a day before. */
  before: number | undefined;
  unit: Unit;
  values: (number | null)[];
  /** The direction that is bad news, if one is. */
  worse?: 'up';
  color?: string;
  /** Said where there is nothing to compare with. */
  note: string;
  /** Whether the answer is still on its way. */
  pending: boolean;
  /** Said where there is no value, nor was any before. */
  empty: string;
}

/** Changes below this share are told as none. */
const SAME = 0.05;

export function Kpi({ name, href, value, before, unit, values, worse, color, note, pending, empty }: Props) {
  const nothing = values.some((one) => one !== null) ? `none, ${note}` : empty;
  return (
    <a class="kpi panel" href={href}>
      <span class="kpi-name">{name}</span>
      <span class="kpi-value">{value === null ? <span class="muted">{pending ? '…' : '–'}</span> : unit(value)}</span>
      <Sparkline values={values} color={color} />
      <span class="kpi-note">{value === null ? (pending ? '\u00a0' : nothing) : <Change value={value} before={before} unit={unit} worse={worse} note={note} />}</span>
    </a>
  );
}

function Change({ value, before, unit, worse, note }: Pick<Props, 'before' | 'unit' | 'worse' | 'note'> & { value: number }) {
  if (before === undefined) return <>{note}</>;
  const change = before === 0 ? (value === 0 ? 0 : Infinity) : (value - before) / before;
  if (Math.abs(change) < SAME) return <>as a day before</>;
  const up = change > 0;
  return (
    <span class={worse && up ? 'problem' : undefined} title={`a day before: ${unit(before)}`}>
      {up ? '▲' : '▼'} {Number.isFinite(change) && Math.abs(change) < 10 ? `${Math.round(Math.abs(change) * 100)} %` : `from ${unit(before)}`} in a day
    </span>
  );
}
