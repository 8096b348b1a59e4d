/** A list that only draws the rows in sight, however many there are; rows may be open and as tall as they like. */

import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

interface Props<T> {
  items: T[];
  /** Height of a closed row, pixels. */
  rowHeight: number;
  keyOf: (item: T) => string;
  /** Keys of open rows. */
  open: ReadonlySet<string>;
  row: (item: T, index: number) => ComponentChildren;
  detail: (item: T) => ComponentChildren;
  label: string;
  /** Row that shall be in sight. */
  reveal?: number;
  /** Keep the end in sight as rows are added, until the reader scrolls up. */
  followEnd?: boolean;
  onFollow?: (follows: boolean) => void;
  /** The end comes near. */
  onEnd?: () => void;
}

/** Rows that are drawn above and below what is in sight. */
const EXTRA = 12;
/** Distance from the end, pixels, that counts as being there. */
const END_SLACK = 4;
/** Rows before the end at which more are asked for. */
const NEAR_END = 20;

export function VirtualList<T>(props: Props<T>) {
  const { items, rowHeight, keyOf, open, followEnd } = props;
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const [heights, setHeights] = useState<ReadonlyMap<string, number>>(new Map());
  const lastTop = useRef(0);

  // Open rows by index, each with what its detail adds.
  const opened: [index: number, height: number][] = [];
  if (open.size) items.forEach((item, index) => open.has(keyOf(item)) && opened.push([index, heights.get(keyOf(item)) ?? 0]));
  const offset = (index: number) => opened.reduce((sum, [at, height]) => (at < index ? sum + height : sum), index * rowHeight);
  const indexAt = (y: number) => {
    let left = y;
    let passed = 0;
    for (const [at, height] of opened) {
      const rows = (at + 1 - passed) * rowHeight;
      if (left < rows + height) return left < rows ? passed + Math.floor(left / rowHeight) : at;
      left -= rows + height;
      passed = at + 1;
    }
    return passed + Math.floor(left / rowHeight);
  };
  const total = offset(items.length);
  const first = Math.max(0, indexAt(view.top) - EXTRA);
  const last = Math.min(items.length, indexAt(view.top + view.height) + EXTRA);

  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setView((old) => ({ ...old, height: entry!.contentRect.height })));
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (followEnd) box.current!.scrollTop = box.current!.scrollHeight;
  }, [items, followEnd, total]);
  useLayoutEffect(() => {
    const { reveal } = props;
    if (reveal === undefined || reveal < 0) return;
    const top = offset(reveal);
    const scroller = box.current!;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top + rowHeight > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + rowHeight - scroller.clientHeight;
  }, [props.reveal]);
  useEffect(() => {
    if (items.length && last + NEAR_END >= items.length) props.onEnd?.();
  }, [last, items]);

  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = box.current!;
    const up = scrollTop < lastTop.current - 1;
    lastTop.current = scrollTop;
    setView((old) => ({ ...old, top: scrollTop }));
    const atEnd = scrollTop + clientHeight >= scrollHeight - END_SLACK;
    if (followEnd && up && !atEnd) props.onFollow?.(false);
    else if (!followEnd && atEnd) props.onFollow?.(true);
  };
  const measured = (key: string, height: number) => setHeights((old) => (old.get(key) === height ? old : new Map(old).set(key, height)));
  return (
    <div class="virtual" ref={box} onScroll={onScroll} tabIndex={0} role="region" aria-label={props.label}>
      <ul style={{ paddingTop: `${offset(first)}px`, height: `${total}px` }}>
        {items.slice(first, last).map((item, at) => {
          const key = keyOf(item);
          return (
            <li key={key} aria-setsize={items.length} aria-posinset={first + at + 1}>
              {props.row(item, first + at)}
              {open.has(key) && <Measured onHeight={(height) => measured(key, height)}>{props.detail(item)}</Measured>}
            </li>
          );
        })}
      </ul>
    </div>
  );
}

function Measured({ children, onHeight }: { children: ComponentChildren; onHeight: (height: number) => void }) {
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const tell = () => onHeight(Math.ceil(box.current?.getBoundingClientRect().height ?? 0));
    tell();
    const observer = new ResizeObserver(tell);
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  return <div ref={box}>{children}</div>;
}
