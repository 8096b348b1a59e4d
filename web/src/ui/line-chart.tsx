/** Lines over time, drawn by uPlot: a cursor that all charts of a page share, and a drag that zooms. */

import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { useEffect, useRef } from 'preact/hooks';
import type { Band } from '../firing';
import { bytes, plural, type Unit } from '../format';
import { isDark, token } from '../theme';
import { axisTime, clock, localDateTime } from '../time';
import { COLORS, DASHES, swatch } from './swatch';

export interface Line {
  name: string;
  values: (number | null)[];
  /** Index into the colours of series. */
  color: number;
  /** Index into the dashes, by which lines of several queries are told apart. */
  dash?: number;
  /** Of its values, where it is not the axis'. */
  unit?: Unit;
  /** Hidden lines keep their place and colour. */
  hidden?: boolean;
}

export interface Props {
  /** Milliseconds, ascending. */
  times: number[];
  lines: Line[];
  unit: Unit;
  height: number;
  /** What the chart shows, for who cannot see it. */
  label: string;
  /** Ends of the time axis, milliseconds. */
  start: number;
  end: number;
  /** A line across, where a rule's limit lies. */
  threshold?: number;
  /** Times in which alerts fired, by their beginnings. */
  bands?: Band[];
  onZoom: (start: number, end: number) => void;
}

/** Most lines that the tip under the cursor lists. */
const TIP_LINES = 12;
/** Most alerts that it names. */
const TIP_ALERTS = 3;
/** Most firings, the newest, that are told to who cannot see them. */
const TOLD_BANDS = 5;
/** Distances of the lines of an axis of bytes. */
const BINARY_STEPS = Array.from({ length: 60 }, (_, power) => 2 ** power);
const SHARED_CURSOR = 'page';

export function LineChart(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const dark = isDark.value;
  const names = props.lines.map((line) => `${line.name}\n${line.color}\n${line.dash}`).join('\n');
  // The series are fixed when a plot is made; data, scales and size can change.
  useEffect(() => {
    const made = new uPlot(options(latest, box.current!.clientWidth, tip), data(props), box.current!);
    plot.current = made;
    const observer = new ResizeObserver(([entry]) => {
      made.setSize({ width: Math.max(50, Math.floor(entry!.contentRect.width)), height: latest.current.height });
    });
    observer.observe(box.current!);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [names, dark, props.height]);
  useEffect(() => {
    plot.current?.setData(data(props), false);
    plot.current?.setScale('x', { min: props.start / 1000, max: props.end / 1000 });
  }, [props.times, props.lines, props.start, props.end, props.bands]);
  return (
    <div class="chart" style={{ height: `${props.height}px` }} role="img" aria-label={props.label + firedText(props.bands ?? [])}>
      <div class="chart-box" ref={box} />
      <div class="tip" ref={tip} hidden />
    </div>
  );
}

function data(props: Props): uPlot.AlignedData {
  return [props.times.map((time) => time / 1000), ...props.lines.map((line) => (line.hidden ? line.values.map(() => null) : line.values))];
}

type Latest = { current: Props };

function options(latest: Latest, width: number, tip: { current: HTMLDivElement | null }): uPlot.Options {
  const axis = { stroke: token('--muted'), grid: { stroke: token('--grid'), width: 1 }, ticks: { show: false }, font: `11px ${getComputedStyle(document.body).fontFamily}` };
  const only = latest.current.lines.length === 1;
  return {
    width: Math.max(50, width),
    height: latest.current.height,
    legend: { show: false },
    // To the right there is room for half of the last time label.
    padding: [8, 20, 0, 0],
    cursor: {
      sync: { key: SHARED_CURSOR, scales: ['x', null] },
      drag: { x: true, y: false, setScale: false },
      points: { size: 6 },
      y: false,
    },
    scales: { x: { time: true }, y: { range: (_, low, high) => yRange(low, high, latest.current.threshold) } },
    axes: [
      { ...axis, size: 24, space: 70, values: (_, splits, __, ___, step) => splits.map((s) => axisTime(s * 1000, latest.current.end - latest.current.start, step * 1000)) },
      { ...axis, size: yAxisSize, gap: 4, space: 28, incrs: latest.current.unit === bytes ? BINARY_STEPS : undefined, values: (_, splits) => splits.map((value) => latest.current.unit(value)) },
    ],
    series: [
      {},
      ...latest.current.lines.map((line) => ({
        label: line.name,
        stroke: token(`--series-${line.color % COLORS}`),
        fill: only ? `color-mix(in srgb, ${token(`--series-${line.color % COLORS}`)} 11%, transparent)` : undefined,
        dash: [...(DASHES[line.dash ?? 0] ?? [])],
        width: 1.5,
        spanGaps: false,
        points: { show: (_: uPlot, index: number) => isLonely(latest.current.lines[index - 1]?.values ?? []) },
      })),
    ],
    hooks: {
      setSelect: [
        (plot) => {
          if (plot.select.width < 4) return;
          const at = (left: number) => plot.posToVal(left, 'x') * 1000;
          latest.current.onZoom(at(plot.select.left), at(plot.select.left + plot.select.width));
          plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        },
      ],
      setCursor: [(plot) => showTip(plot, latest.current, tip.current)],
      drawClear: [(plot) => drawBands(plot, latest.current.bands ?? [])],
      draw: [(plot) => drawThreshold(plot, latest.current.threshold)],
    },
  };
}

/** Points stand alone where a line has no neighbour to go to. */
function isLonely(values: (number | null)[]): boolean {
  return values.filter((value) => value !== null).length < 3;
}

function yAxisSize(_: uPlot, values: string[] | null): number {
  return Math.max(34, 12 + 6.6 * Math.max(0, ...(values ?? []).map((value) => value.length)));
}

function yRange(low: number | null, high: number | null, threshold = -Infinity): uPlot.Range.MinMax {
  const top = Math.max(high ?? 1, threshold);
  const bottom = Math.min(0, low ?? 0);
  return top === bottom ? [bottom, bottom + 1] : [bottom, top + (top - bottom) * 0.08];
}

function drawThreshold(plot: uPlot, threshold: number | undefined): void {
  if (threshold === undefined) return;
  const { left, width } = plot.bbox;
  const y = plot.valToPos(threshold, 'y', true);
  plot.ctx.save();
  plot.ctx.strokeStyle = token('--bad');
  plot.ctx.setLineDash([6, 4]);
  plot.ctx.beginPath();
  plot.ctx.moveTo(left, y);
  plot.ctx.lineTo(left + width, y);
  plot.ctx.stroke();
  plot.ctx.restore();
}

/** Shades when alerts fired. Those that overlap are one, so that many do not add up to a wall. */
function drawBands(plot: uPlot, bands: Band[]): void {
  const { left, width, top, height } = plot.bbox;
  const x = (ms: number) => Math.min(left + width, Math.max(left, plot.valToPos(ms / 1000, 'x', true)));
  plot.ctx.save();
  let drawnTo = -Infinity;
  for (const { start, end } of bands) {
    const from = Math.max(x(start), drawnTo);
    // An alert of a moment is still seen.
    const to = Math.max(x(end), from + devicePixelRatio);
    if (x(end) <= drawnTo) continue;
    plot.ctx.fillStyle = token('--bad-soft');
    plot.ctx.fillRect(from, top, to - from, height);
    plot.ctx.fillStyle = token('--bad');
    plot.ctx.fillRect(from, top, to - from, 2 * devicePixelRatio);
    drawnTo = to;
  }
  plot.ctx.restore();
}

/** When what fired, for who cannot see it. */
function firedText(bands: Band[]): string {
  if (!bands.length) return '';
  const told = bands.slice(-TOLD_BANDS).map(({ name, start, end }) => `${name} ${clock(start)} – ${clock(end)}`);
  return `; alerts fired ${plural(bands.length, 'time')}: ${bands.length > TOLD_BANDS ? 'at last ' : ''}${told.join(', ')}`;
}

/** What fired at a time, as a line of the tip. */
function firedAt(bands: Band[], time: number): string {
  const names = new Set(bands.filter(({ start, end }) => start <= time && time <= end).map(({ name }) => name));
  const [shown, more] = [[...names].slice(0, TIP_ALERTS).join(', '), names.size - TIP_ALERTS];
  return shown && `▲ firing: ${shown}${more > 0 ? ` and ${more} more` : ''}`;
}

function showTip(plot: uPlot, props: Props, tip: HTMLDivElement | null): void {
  if (!tip) return;
  const { idx, left = -1 } = plot.cursor;
  // Only the chart under the pointer shows one; the others show the cursor.
  if (idx === null || idx === undefined || left < 0 || !plot.root.matches(':hover')) {
    tip.hidden = true;
    return;
  }
  const rows = props.lines.map((line) => ({ line, value: line.values[idx] }))
    .filter((row) => row.value !== null && row.value !== undefined && !row.line.hidden)
    .sort((a, b) => b.value! - a.value!);
  const time = document.createElement('b');
  time.textContent = localDateTime(props.times[idx] ?? 0);
  tip.replaceChildren(time, ...rows.slice(0, TIP_LINES).map(({ line, value }) => tipRow(line, (line.unit ?? props.unit)(value!))));
  if (rows.length > TIP_LINES) tip.append(`and ${rows.length - TIP_LINES} more`);
  const fired = firedAt(props.bands ?? [], props.times[idx] ?? 0);
  if (fired) {
    const line = document.createElement('span');
    line.className = 'fired';
    line.textContent = fired;
    tip.append(line);
  }
  tip.hidden = false;
  const width = plot.root.clientWidth;
  const shift = plot.bbox.left / devicePixelRatio;
  const x = left + shift + 14;
  tip.style.left = `${x + tip.offsetWidth > width ? Math.max(0, left + shift - tip.offsetWidth - 14) : x}px`;
}

function tipRow(line: Line, value: string): HTMLElement {
  const row = document.createElement('span');
  const mark = document.createElement('i');
  mark.style.background = swatch(line.color, line.dash);
  const number = document.createElement('b');
  number.className = 'num';
  number.textContent = value;
  const name = document.createElement('span');
  name.textContent = line.name;
  row.append(mark, name, number);
  return row;
}
