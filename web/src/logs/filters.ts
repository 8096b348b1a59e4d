/** What the logs page searches for: all of it stands in the URL. */

import { computed } from '@preact/signals';
import { list, param, range, set } from '../url';
import { term, withTerm } from './terms';

/** Fields that have a parameter of their own, with comma lists of whole values. */
export const FACETS = ['level', 'service', 'source', 'host'] as const;
export type Facet = (typeof FACETS)[number];

export const query = computed(() => param('q'));
export const isLive = computed(() => param('live') === '1');
export const oldestFirst = computed(() => param('order') === 'asc');

export function isFacet(field: string): field is Facet {
  return (FACETS as readonly string[]).includes(field);
}

/** The parameters of the API for the filters at hand; `without` leaves one facet out. */
export function filterParams(without?: Facet): Record<string, string> {
  const made: Record<string, string> = { q: query.value };
  for (const facet of FACETS) if (facet !== without) made[facet] = param(facet);
  return made;
}

export function rangeParams(): { start: number; end: number } {
  return range.value;
}

/** Includes a value of a facet, or no longer. */
export function toggle(facet: Facet, value: string): void {
  const chosen = list(facet);
  set({ [facet]: chosen.includes(value) ? chosen.filter((one) => one !== value) : [...chosen, value] });
}

/** Looks only for records with a value of a field: by the field's parameter, or by a term of the search. */
export function include(field: string, value: string): void {
  // A list is cut at its commas, and blanks around a value are not minded.
  if (isFacet(field) && !/,|^\s|\s$/.test(value)) {
    if (!list(field).includes(value)) toggle(field, value);
  } else {
    set({ q: withTerm(query.value, term(field, value)) });
  }
}
