/** A line the size of a word. */

const WIDTH = 100;
const HEIGHT = 26;

export function Sparkline({ values, color = 'var(--series-0)' }: { values: (number | null)[]; color?: string }) {
  const known = values.filter((value): value is number => value !== null && Number.isFinite(value));
  if (known.length < 2) return <svg class="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true" />;
  const top = Math.max(...known);
  const bottom = Math.min(0, ...known);
  const span = top - bottom || 1;
  const x = (at: number) => (at / (values.length - 1)) * WIDTH;
  const y = (value: number) => HEIGHT - 2 - ((value - bottom) / span) * (HEIGHT - 4);
  let line = '';
  let pen = 'M';
  values.forEach((value, at) => {
    if (value === null || !Number.isFinite(value)) {
      pen = 'M';
      return;
    }
    line += `${pen}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = 'L';
  });
  return (
    <svg class="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path d={line} fill="none" stroke={color} stroke-width="1.5" vector-effect="non-scaling-stroke" />
    </svg>
  );
}
