/** Counts over time, stacked by level; a drag over it zooms, a click zooms into one bar. */

import { useEffect, useRef, useState } from 'preact/hooks';
import type { Histogram } from '../api';
import { plural, short } from '../format';
import { LEVELS, levelColor } from '../levels';
import { axisTime, clock, localDateTime, roundTimes } from '../time';

interface Props {
  histogram: Histogram | undefined;
  label: string;
  onZoom: (start: number, end: number) => void;
}

/** Room under the bars for the times. */
const AXIS = 18;
/** Room above them for the largest count. */
const HEAD = 14;
/** Least distance of two times, pixels, and how far from an end one must be to fit. */
const TICK_APART = 100;
const TICK_HALF = 32;

export function StackedBars({ histogram, label, onZoom }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [{ width, height }, setSize] = useState({ width: 0, height: 0 });
  const [brush, setBrush] = useState<[number, number] | null>(null);
  const [hover, setHover] = useState<number | null>(null);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      const { width: wide, height: tall } = entry!.contentRect;
      setSize({ width: Math.floor(wide), height: Math.floor(tall) });
    });
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  const buckets = histogram?.buckets ?? [];
  const step = histogram?.step ?? 1;
  const start = histogram?.start ?? 0;
  const span = step * buckets.length;
  const top = Math.max(1, ...buckets.map((bucket) => bucket.total));
  const bar = buckets.length ? width / buckets.length : width;
  const drawn = height - AXIS;
  const x = (time: number) => ((time - start) / span) * width;
  const ticks = roundTimes(start, start + span, Math.max(1, Math.floor(width / TICK_APART)));
  const at = (event: PointerEvent) => {
    const left = box.current!.getBoundingClientRect().left;
    return Math.min(buckets.length - 1, Math.max(0, Math.floor((event.clientX - left) / bar)));
  };
  const down = (event: PointerEvent) => {
    if (event.button !== 0 || !buckets.length) return;
    box.current!.setPointerCapture(event.pointerId);
    setBrush([at(event), at(event)]);
  };
  const move = (event: PointerEvent) => {
    if (!buckets.length) return;
    setHover(at(event));
    if (brush) setBrush([brush[0], at(event)]);
  };
  const up = () => {
    if (!brush) return;
    const [one, two] = [Math.min(...brush), Math.max(...brush)];
    setBrush(null);
    onZoom(start + one * step, start + (two + 1) * step - 1);
  };
  const shown = hover === null ? undefined : buckets[hover];
  const total = buckets.reduce((sum, bucket) => sum + bucket.total, 0);
  return (
    <div class="bars" ref={box} role="img"
      aria-label={`${label}: ${plural(total, 'line')} from ${localDateTime(start)} to ${localDateTime(start + span)}`}
      onPointerDown={down} onPointerMove={move} onPointerUp={up} onPointerCancel={() => setBrush(null)} onPointerLeave={() => setHover(null)}>
      {width > 0 && buckets.length > 0 && (
        <svg width={width} height={height} aria-hidden="true">
          <line class="grid" x1="0" x2={width} y1={HEAD - 0.5} y2={HEAD - 0.5} />
          <line class="grid" x1="0" x2={width} y1={(HEAD + drawn) / 2} y2={(HEAD + drawn) / 2} />
          {buckets.map((bucket, index) => <Stack key={index} levels={bucket.levels} x={index * bar} width={bar} base={drawn} top={top} />)}
          <line class="base" x1="0" x2={width} y1={drawn + 0.5} y2={drawn + 0.5} />
          {brush && (
            <rect class="brush" x={Math.min(...brush) * bar} width={(Math.abs(brush[1] - brush[0]) + 1) * bar} y="0" height={drawn} />
          )}
          {!brush && hover !== null && <rect class="hover" x={hover * bar} width={bar} y="0" height={drawn} />}
          <text class="tick" x="2" y={HEAD - 4}>{short(top)}</text>
          {ticks.times.filter((time) => x(time) >= TICK_HALF && x(time) <= width - TICK_HALF).map((time) => (
            <text key={time} class="tick" x={x(time)} y={height - 4} text-anchor="middle">
              {axisTime(time, span, ticks.step)}
            </text>
          ))}
        </svg>
      )}
      {shown && (
        <div class="tip" style={{ left: `${Math.min(Math.max(0, (hover! + 0.5) * bar - 80), Math.max(0, width - 165))}px`, top: `${drawn + 4}px` }}>
          <b>{clock(shown.time)} – {clock(shown.time + step)}</b>
          {LEVELS.filter((level) => shown.levels[level]).map((level) => (
            <span key={level}><i style={{ background: levelColor(level) }} />{level}<b class="num">{short(shown.levels[level]!)}</b></span>
          ))}
          {!shown.total && <span>nothing</span>}
        </div>
      )}
    </div>
  );
}

interface StackProps {
  levels: Record<string, number>;
  x: number;
  width: number;
  /** Where the bars stand, from above. */
  base: number;
  top: number;
}

function Stack({ levels, x, width, base, top }: StackProps) {
  let y = base;
  const gap = width > 5 ? 1 : 0;
  // The worst lie at the bottom, where they are compared best.
  return (
    <>
      {LEVELS.map((level) => {
        const count = levels[level];
        if (!count) return null;
        // One error among thousands of lines must still be seen.
        const tall = Math.max(1.5, (count / top) * (base - HEAD));
        y -= tall;
        return <rect key={level} x={x + gap / 2} y={Math.max(HEAD, y)} width={Math.max(1, width - gap)} height={tall} style={{ fill: levelColor(level) }} />;
      })}
    </>
  );
}

/** What the colours mean, and how many of each there are. */
export function LevelLegend({ levels }: { levels: Record<string, number> }) {
  return (
    <ul class="legend-row">
      {LEVELS.filter((level) => levels[level]).map((level) => (
        <li key={level}><i style={{ background: levelColor(level) }} />{level} <b class="num">{short(levels[level]!)}</b></li>
      ))}
    </ul>
  );
}
