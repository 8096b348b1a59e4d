/** The filter of the alerts page: words of the name, and `label=value`; all must hold. */

import type { Labels } from '../api';

export function matchesFilter(filter: string, name: string, labels: Labels): boolean {
  return filter.split(/\s+/).filter(Boolean).every((word) => {
    const [label, value] = word.split('=', 2);
    if (value !== undefined) return (labels[label!] ?? '').toLowerCase().includes(value.toLowerCase());
    const texts = [name, ...Object.values(labels)];
    return texts.some((text) => text.toLowerCase().includes(word.toLowerCase()));
  });
}
