/** Line icons, 16 × 16, in the colour of the text around them. */

const PATHS = {
  alert: 'M8 2.5 14 13H2zM8 6.5v3M8 11.2v.3',
  check: 'M3 8.5 6.5 12 13 4.5',
  chevron: 'M4 6l4 4 4-4',
  clock: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12M8 4.8V8l2.2 1.6',
  close: 'M4 4l8 8M12 4l-8 8',
  copy: 'M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3',
  down: 'M8 3v10M4 9l4 4 4-4',
  explore: 'M2 13.5h12M3 10l3.2-4 3 2.4L13.5 3',
  filter: 'M2 3h12l-4.6 5.5V13l-2.8-1.4V8.5z',
  help: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12M6.2 6.2a1.9 1.9 0 1 1 2.6 1.9c-.6.3-.8.6-.8 1.2M8 11.3v.3',
  link: 'M6.5 9.5l3-3M7 4.5 8.5 3a3.2 3.2 0 0 1 4.5 4.5L11.5 9M9 11.5 7.5 13A3.2 3.2 0 0 1 3 8.5L4.5 7',
  live: 'M8 9.2a1.2 1.2 0 1 0 0-2.4 1.2 1.2 0 0 0 0 2.4M4.8 11.2a4.5 4.5 0 0 1 0-6.4M11.2 4.8a4.5 4.5 0 0 1 0 6.4M2.7 13.3a7.5 7.5 0 0 1 0-10.6M13.3 2.7a7.5 7.5 0 0 1 0 10.6',
  logs: 'M2.5 4h11M2.5 8h11M2.5 12h7',
  minus: 'M3.5 8h9',
  moon: 'M13 9.8A5.5 5.5 0 0 1 6.2 3 5.5 5.5 0 1 0 13 9.8',
  overview: 'M2.5 2.5h4.5v6H2.5zM9 2.5h4.5v3.5H9zM9 8h4.5v5.5H9zM2.5 10.5h4.5v3H2.5z',
  pause: 'M5.5 3.5v9M10.5 3.5v9',
  play: 'M5 3.5 12 8l-7 4.5z',
  plus: 'M8 3.5v9M3.5 8h9',
  refresh: 'M13 8a5 5 0 1 1-1.5-3.5L13 6M13 2.5V6H9.5',
  search: 'M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9M10.3 10.3 14 14',
  star: 'M8 2.2 9.8 6l4.2.5-3.1 2.9.8 4.1L8 11.4l-3.7 2.1.8-4.1L2 6.5 6.2 6z',
  sun: 'M8 10.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6M8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9',
  system: 'M2.5 3h11v7.5h-11zM6 13.5h4M8 10.5v3',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The sign of the house: a fire on its stand. */
export function Flame() {
  return (
    <svg class="flame" viewBox="0 0 16 16" aria-hidden="true">
      <path d="M8.3 1c.5 2.3 3.9 3.5 3.9 7a4.2 4.2 0 0 1-8.4 0c0-1.7.9-2.7 1.5-3.8.3 1 .8 1.5 1.4 1.7C6.4 4.3 6.9 2.3 8.3 1z" />
      <path class="stand" d="M3.5 14.5h9" />
    </svg>
  );
}
