/** `j`, `k` and `x` over the rows of a page: elements with `data-row`, focused one after another. */

import { useKeys } from '../keys';

export function useRowKeys(): void {
  const move = (by: number) => {
    const rows = Array.from(document.querySelectorAll<HTMLElement>('main [data-row]'));
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const next = rows[Math.min(rows.length - 1, Math.max(0, at + by))];
    next?.focus();
    next?.scrollIntoView({ block: 'nearest' });
  };
  useKeys([
    { keys: 'j', does: 'next row', run: () => move(1) },
    { keys: 'k', does: 'row before', run: () => move(-1) },
    {
      keys: 'x',
      does: 'open or close the row',
      run: () => {
        const row = document.activeElement?.closest<HTMLElement>('[data-row]') ?? document.querySelector<HTMLElement>('main [data-row]');
        row?.focus();
        row?.click();
      },
    },
  ]);
}
