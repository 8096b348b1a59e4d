//! What must hold for every view: no complaint, no foreign request, no sideways scroll, headings, names, contrast.

use watchfire_test_support::browser::Page;

/// Finds texts whose contrast to what lies behind them is too low: 4.5, or 3 for large ones.
const LOW_CONTRAST: &str = r##"(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const over = (top, below) => { const a = top[3] / 255; return [0, 1, 2].map((i) => top[i] * a + below[i] * (1 - a)).concat(255); };
  const light = ([r, g, b]) => { const l = [r, g, b].map((c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; }); return 0.2126 * l[0] + 0.7152 * l[1] + 0.0722 * l[2]; };
  const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const ground = (element) => { const layers = []; for (let e = element; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor)); return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 255]); };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest('[disabled], noscript, style, script, .toast, svg')) continue;
    const style = getComputedStyle(element);
    if (style.visibility === 'hidden' || !element.getClientRects().length || style.clipPath !== 'none') continue;
    const below = ground(element);
    const size = parseFloat(style.fontSize);
    const wanted = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    const found = ratio(over(rgba(style.color), below), below);
    if (found < wanted) low.push(`${found.toFixed(2)} "${node.data.trim().slice(0, 40)}" .${element.className}`);
  }
  return [...new Set(low)];
})()"##;

/// Checks what is in the page now.
pub fn check(page: &mut Page<'_>, what: &str) {
    let [width, inner] = ["document.documentElement.scrollWidth", "innerWidth"].map(|script| page.eval(script));
    assert!(width.as_f64() <= inner.as_f64(), "{what}: scrolls sideways: {width} of {inner}");
    assert_eq!(page.eval("document.querySelectorAll('h1').length"), 1, "{what}: headings of the first rank");
    let landmarks = page.eval("['header', 'nav', 'main'].filter((one) => !document.querySelector(one)).join()");
    assert_eq!(landmarks, "", "{what}: landmarks are missing");
    let low = page.eval(LOW_CONTRAST);
    assert_eq!(low.as_array().map(Vec::len), Some(0), "{what}: contrast: {low:#}");
    let unnamed = page.unnamed_controls();
    assert!(unnamed.is_empty(), "{what}: controls without a name: {unnamed:#?}");
    let problems = page.problems();
    assert!(problems.is_empty(), "{what}: {problems:#?}");
}
