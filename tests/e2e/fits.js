/** What is wrong with how the page lies: evaluated in the page by test_page_fits.py, one text a flaw. */
() => {
  const SLACK_PX = 1.5;
  const LEAST_PX = 24; // WCAG 2.5.8
  const CONTROL = "button, a[href], input:not([type=file]), select, textarea, summary, [role=button]";
  const modal = [...document.querySelectorAll("dialog[open]")].at(-1);
  const menu = document.querySelector(".menu");
  const root = menu ?? modal ?? document.body;
  const flaws = new Set();
  const name = (element) => {
    const words = (element.getAttribute("aria-label") ?? element.textContent.trim()).slice(0, 30);
    return `${element.tagName.toLowerCase()}.${[...element.classList].join(".")} “${words}”`;
  };
  const styles = new Map();
  const style = (element) => {
    if (!styles.has(element)) styles.set(element, getComputedStyle(element));
    return styles.get(element);
  };
  const up = (element) => {
    const all = [];
    for (let at = element.parentElement; at; at = at.parentElement) all.push(at);
    return all;
  };
  const ON_PURPOSE = ".top, .dock, .side, .sheet-head, .ask-foot, .pick-foot, .connection, .zoom-bar, .view-nav, .box";
  const isShown = (element) =>
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: true }) &&
    !element.closest(".visually-hidden, [inert], .skip, .tools, #toasts, svg, .boxes") &&
    ![element, ...up(element)].some((each) => style(each).clipPath !== "none") &&
    element.getBoundingClientRect().width > 0;
  const scrolls = (element) => /auto|scroll/.test(style(element).overflowX) || /auto|scroll/.test(style(element).overflowY);
  const clips = (element) => /hidden|clip|auto|scroll/.test(style(element).overflowX);
  const clipsBelow = (element, top) => up(element).some((above) => top.contains(above) && above !== top && clips(above));
  const linesOf = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    return [...range.getClientRects()].filter((rect) => rect.width > 0.5);
  };
  const ownText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());

  const { scrollWidth } = document.documentElement;
  if (scrollWidth > innerWidth + 1) flaws.add(`the page is ${scrollWidth - innerWidth} px too wide`);
  if (modal && modal.scrollWidth > modal.clientWidth + 1) {
    const edge = modal.getBoundingClientRect();
    const out = [...modal.querySelectorAll("*")].filter((element) => {
      const { left, right, width } = element.getBoundingClientRect();
      return width > 0 && (right > edge.right + SLACK_PX || left < edge.left - SLACK_PX) && !clipsBelow(element, modal);
    });
    flaws.add(`the sheet is ${modal.scrollWidth - modal.clientWidth} px too wide inside: ${out.slice(-2).map(name).join("; ")}`);
  }
  for (const element of root.querySelectorAll("*")) {
    if (!isShown(element)) continue;
    const box = element.getBoundingClientRect();
    const inScroller = up(element).some((above) => root.contains(above) && scrolls(above) && above !== root);
    const clipped = up(element).some((above) => root.contains(above) && clips(above));
    if (!clipped && (box.right > innerWidth + SLACK_PX || box.left < -SLACK_PX)) flaws.add(`${name(element)} leaves the window`);
    if (ownText(element)) {
      // Text that is cut says all of it somewhere else; text that is not cut stays in its box.
      const cut = style(element).textOverflow === "ellipsis" && clips(element) && element.scrollWidth > element.clientWidth + 1;
      const told = element.closest("[title], [aria-label]") ?? element.querySelector("[title]");
      if (cut && !told) flaws.add(`${name(element)} is cut, and nothing says the rest`);
      const within = element.matches(CONTROL) ? element : element.closest(CONTROL) ?? element;
      const frame = within.getBoundingClientRect();
      const outside = (line) =>
        line.right > frame.right + SLACK_PX || line.left < frame.left - SLACK_PX ||
        line.bottom > frame.bottom + 4 || line.top < frame.top - 4;
      const isBlock = style(element).display !== "inline" || within !== element;
      if (isBlock && !clips(element) && ![...up(element)].some((above) => within.contains(above) && clips(above)) && linesOf(element).some(outside))
        flaws.add(`the text of ${name(element)} runs out of its box`);
    }
    if (!element.matches(CONTROL) || inScroller === null) continue;
    const label = element.matches("input") && element.labels?.[0];
    const target = (label || element).getBoundingClientRect();
    const isInline = element.matches("a") && style(element).display === "inline";
    if (!isInline && (target.width < LEAST_PX - 0.5 || target.height < LEAST_PX - 0.5))
      flaws.add(`${name(element)} is ${Math.round(target.width)} × ${Math.round(target.height)} px, too small to touch`);
    // Its middle is where a person presses.
    const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
    const seen = up(element).filter((above) => clips(above)).every((above) => {
      const edge = above.getBoundingClientRect();
      return x > edge.left && x < edge.right && y > edge.top && y < edge.bottom;
    });
    if (!seen || x < 0 || y < 0 || x >= innerWidth || y >= innerHeight) continue;
    const top = document.elementFromPoint(x, y);
    const above = top?.closest(ON_PURPOSE);
    if (top && !element.contains(top) && !top.contains(element) && !(label && label.contains(top)) && !(above && !above.contains(element)))
      flaws.add(`${name(element)} is covered by ${name(top)}`);
  }
  return [...flaws];
}
