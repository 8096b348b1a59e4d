/** The chart, whose code is loaded when the first one is drawn. */

import type { ComponentType } from 'preact';
import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Props } from './line-chart';

const drawn = signal<ComponentType<Props> | null>(null);
let asked = false;

export function Chart(props: Props) {
  useEffect(() => {
    if (asked) return;
    asked = true;
    // A failure leaves the frames empty; the tables beside them still tell the numbers.
    import('./line-chart').then((module) => (drawn.value = module.LineChart), () => (asked = false));
  }, []);
  const LineChart = drawn.value;
  return LineChart ? <LineChart {...props} /> : <div class="chart" style={{ height: `${props.height}px` }} />;
}
