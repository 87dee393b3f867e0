// Charts of uPlot over time: a brush zooms in, and the keyboard does all that the mouse does.
import { make } from "./dom.js";
import { formatTime } from "./format.js";

/* global uPlot */
const HEIGHT = 240;
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [4, 4], [14, 4]]; // series differ without colors too
const HINT =
  "Drag to zoom in, or with the keyboard: arrows move, Shift and arrows select, Enter zooms in, Escape zooms out.";
const dark = matchMedia("(prefers-color-scheme: dark)");
const getColor = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
const getSeriesColor = (index) => getColor(`series-${(index % DASHES.length) + 1}`);

export class Chart {
  #place;
  #options;
  #plot = null;
  #index = 0;
  #anchor = 0;
  #names = [];
  #figure = make("div", { tabindex: "0", role: "application", "aria-roledescription": "chart" });
  #key = make("ul");
  #readout = make("output");

  /** Options: {label, format, zoomIn(start, end) in seconds, zoomOut(), open(start)}: of a point that is clicked. */
  constructor(place, options) {
    this.#place = place;
    this.#options = options;
    this.#figure.setAttribute("aria-label", `${options.label}. ${HINT}`);
    const hint = make("p", { class: "hint", "aria-hidden": "true" }, HINT);
    place.append(this.#key, this.#figure, this.#readout, hint);
    this.#figure.addEventListener("keydown", (event) => this.#handleKey(event));
    dark.addEventListener("change", () => this.#draw());
    new ResizeObserver(() => this.#plot?.setSize({ width: this.#getWidth(), height: HEIGHT })).observe(place);
  }

  /** Show series over starts of buckets, in seconds; `names` are those of the series. */
  show(starts, names, series) {
    const data = [starts, ...series];
    this.#index = Math.max(0, starts.length - 1);
    this.#readout.textContent = "";
    const isNew = !this.#plot || names.join("\n") !== this.#names.join("\n");
    this.#names = names;
    if (isNew) this.#build(data);
    else this.#plot.setData(data);
    this.#plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.#draw();
  }

  #getWidth() {
    return Math.max(240, this.#place.clientWidth - 20);
  }

  #build(data) {
    this.#plot?.destroy();
    const line = { stroke: () => getColor("text"), grid: { stroke: () => getColor("line") } };
    const axis = { ...line, size: 70, values: (_, values) => values.map((value) => this.#options.format(value)) };
    const series = this.#names.map((label, index) => ({
      label,
      width: 2,
      stroke: () => getSeriesColor(index),
      dash: DASHES[index % DASHES.length],
      points: { size: 5 },
    }));
    this.#plot = new uPlot({
      width: this.#getWidth(),
      height: HEIGHT,
      legend: { show: false },
      cursor: { drag: { x: true, y: false, setScale: false } },
      scales: { y: { range: (_, __, max) => [0, Math.max(1, max * 1.1)] } },
      axes: [line, axis],
      series: [{}, ...series],
      hooks: { setSelect: [(plot) => this.#handleBrush(plot)], setCursor: [(plot) => this.#handleMouse(plot)] },
    }, data, this.#figure);
    this.#plot.over.addEventListener("click", () => this.#openPoint(this.#plot.cursor.idx));
  }

  #draw() {
    this.#plot?.redraw(false);
    const items = this.#names.map((name, index) => {
      const item = make("li", {}, name);
      item.style.setProperty("--color", getSeriesColor(index));
      return item;
    });
    this.#key.replaceChildren(...items);
  }

  #handleBrush(plot) {
    const { left, width } = plot.select;
    if (width < 4) return;
    const [start, end] = [left, left + width].map((at) => plot.posToVal(at, "x"));
    this.#options.zoomIn(start, end);
  }

  #handleMouse(plot) {
    if (plot.cursor.idx === null || plot.cursor.idx === undefined || plot.cursor.left < 0) return;
    this.#index = plot.cursor.idx;
    this.#describe();
  }

  #openPoint(index) {
    const start = this.#plot.data[0][index];
    if (start !== undefined) this.#options.open(start);
  }

  #describe() {
    const [starts, ...series] = this.#plot.data;
    const { format } = this.#options;
    const values = series.map((one, index) => `${this.#names[index]} ${format(one[this.#index] ?? null)}`);
    this.#readout.textContent = `${formatTime(starts[this.#index] * 1000)}: ${values.join(", ")}`;
  }

  #handleKey(event) {
    const starts = this.#plot?.data[0] ?? [];
    const last = starts.length - 1;
    const moves = { ArrowLeft: this.#index - 1, ArrowRight: this.#index + 1, Home: 0, End: last };
    if (last < 0 || !(event.key in moves || ["Enter", "Escape"].includes(event.key))) return;
    event.preventDefault();
    if (event.key === "Escape") this.#options.zoomOut();
    else if (event.key === "Enter") this.#zoomByKey();
    else this.#move(Math.min(last, Math.max(0, moves[event.key])), event.shiftKey);
  }

  #zoomByKey() {
    const starts = this.#plot.data[0];
    const [first, last] = [this.#anchor, this.#index].sort((one, other) => one - other);
    if (this.#plot.select.width && first !== last) this.#options.zoomIn(starts[first], starts[last], true);
    else this.#openPoint(this.#index);
  }

  #move(index, isSelecting) {
    const plot = this.#plot;
    if (!isSelecting) this.#anchor = index;
    this.#index = index;
    const [from, to] = [this.#anchor, index].map((one) => plot.valToPos(plot.data[0][one], "x"));
    const height = plot.over.clientHeight;
    plot.setSelect({ left: Math.min(from, to), top: 0, width: Math.abs(to - from), height }, false);
    plot.setCursor({ left: to, top: height / 2 }, false);
    this.#describe();
  }
}
