// What threshold.js is made of: the points that Python sent, numbers as text, elements and shapes. It knows nothing of
// what a person has set.

const SVG = "http://www.w3.org/2000/svg"

// ------------------------------------------------------------------------------------------ the points

function unpack(data) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data)
  const length = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true)
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)))
  const all = new Float32Array(bytes.slice(4 + length).buffer), count = all.length / header.columns.length  // a copy: may be unaligned
  const points = Object.fromEntries(header.columns.map((name, i) => [name, all.subarray(i * count, (i + 1) * count)]))
  return { header, points, count }
}

// The point that holds at a threshold: the last one of which all positive scores are above it.
function at(points, count, t) {
  let low = 0, high = count - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (points.lowest[middle] > t) low = middle
    else high = middle - 1
  }
  return low
}

// The threshold half way between the lowest score of a point and the next score, as in core/metrics/operating_points.py.
function middle(points, count, i) {
  if (i === 0) return 1
  const below = i + 1 < count ? points.lowest[i + 1] : 0
  return below + (points.lowest[i] - below) / 2
}

// Bayes: the probability after a result with this likelihood ratio.
function posterior(prior, ratio) {
  return ratio === Infinity ? 1 : prior * ratio / (prior * ratio + 1 - prior)
}

// ------------------------------------------------------------------------------------------ numbers

const number = (value, digits = 3) => Number.isFinite(value) ? value.toFixed(digits) : "-"
const whole = value => value.toLocaleString("en")
const percent = share => `${Number((100 * share).toPrecision(3))} %`
const same = (a, b) => a === b || Math.abs(a - b) < 1e-9
const people = value => Math.floor(value + 0.5 + 1e-9)
const logit = p => Math.log(p / (1 - p))

function score(t) {              // a threshold in as many digits as it needs
  return t === 0 || t === 1 ? String(t) : t < 0.01 || t > 0.99 ? t.toFixed(5) : t.toFixed(3)
}

// ------------------------------------------------------------------------------------------ elements and shapes

function thin(points) {          // leaves out what is nearer than half a pixel to the point before
  const kept = []
  points.forEach(([x, y], i) => {
    const last = kept.at(-1)
    if (!last || i === points.length - 1 || Math.abs(x - last[0]) + Math.abs(y - last[1]) > 0.5) kept.push([x, y])
  })
  return kept
}

// What stays while one drags is drawn again only when `key` changes; returns the group for what moves.
function layer(svg, key, still) {
  if (svg.dataset.key !== String(key)) {
    svg.replaceChildren(shape("g", {}), shape("g", {}))
    svg.firstChild.append(...still())
    svg.dataset.key = key
  }
  return svg.lastChild
}

const path = points => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("")

function size(svg, width, height) {
  svg.setAttribute("width", width)
  svg.setAttribute("height", height)
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`)
}

function text(x, y, content, anchor) {
  const element = shape("text", { x, y, "text-anchor": anchor })
  element.textContent = content
  return element
}

function head(content, scope) {
  const th = make("th", {}, content)
  if (scope) th.scope = scope
  return th
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties)
  element.append(...children)                       // strings become text, never HTML
  return element
}

function shape(tag, attributes) {
  const element = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  return element
}
